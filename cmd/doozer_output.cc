#include "cmd/doozer_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "base/check.h"
#include "cmd/doozer_process.h"

namespace doozer::cli {
namespace {

constexpr mode_t kPermissions = 0777;
constexpr mode_t kGroup = 0070;

tl::unexpected<Error> cannot(std::string_view doing, std::string_view name) {
  return fail(Code::io_error, fmt::format("cannot {} {}: {}", doing, name, std::strerror(errno)));
}

/// The name without symbolic links. REQUIRES: it exists.
Result<std::string> resolved(const std::string& name) {
  const std::unique_ptr<char, decltype(&std::free)> path(::realpath(name.c_str(), nullptr),
                                                         std::free);
  if (path == nullptr) return cannot("resolve", name);
  return std::string(path.get());
}

/// Owner and mode as of the file that is replaced. Where the owner cannot be kept, its group's
/// rights would be another group's.
bool take_over(int fd, const struct stat& before) {
  mode_t mode = before.st_mode & kPermissions;
  if (::fchown(fd, before.st_uid, before.st_gid) != 0) mode &= ~kGroup;
  return ::fchmod(fd, mode) == 0;
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& name) {
  if (name.empty() || name == "-") return OutputFile(STDOUT_FILENO, "");
  struct stat status{};
  if (::stat(name.c_str(), &status) != 0) {
    if (errno != ENOENT) return cannot("create", name);
    if (::lstat(name.c_str(), &status) != 0) return beside(name, /*replaces=*/false);
    return fail(Code::io_error,
                fmt::format("cannot create {}: it is a symbolic link to a missing file", name));
  }
  if (S_ISREG(status.st_mode)) {
    TRY_ASSIGN(const std::string target, resolved(name));
    return beside(target, /*replaces=*/true);
  }
  OutputFile file(::open(name.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY), name);
  if (file.fd_ < 0) return cannot("write", name);
  return file;
}

Result<OutputFile> OutputFile::beside(const std::string& name, bool replaces) {
  std::string temporary = name + ".part-XXXXXX";
  // A name that nobody knows, and mode 0600: an export holds secrets as likely as not.
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return cannot("create", name);
  OutputFile file(fd, name);
  file.temporary_ = std::move(temporary);
  unlink_if_interrupted(file.temporary_);
  struct stat before{};
  if (replaces && (::stat(name.c_str(), &before) != 0 || !take_over(fd, before))) {
    return cannot("create", name);
  }
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      temporary_(std::move(other.temporary_)) {}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  close();
}

void OutputFile::close() {
  const int fd = std::exchange(fd_, -1);
  if (name_.empty()) return;
  ::close(fd);
  if (!temporary_.empty()) unlink_if_interrupted("");
}

Result<> OutputFile::write(std::string_view bytes) {
  CHECK(fd_ >= 0);
  if (name_.empty()) return write_output(bytes);
  if (!write_all(fd_, bytes)) return cannot("write", name_);
  return {};
}

Result<> OutputFile::finish() {
  CHECK(fd_ >= 0);
  if (!temporary_.empty()) {
    if (::fsync(fd_) != 0) return cannot("sync", temporary_);
    if (::rename(temporary_.c_str(), name_.c_str()) != 0) return cannot("create", name_);
  }
  close();
  return {};
}

}  // namespace doozer::cli
