#include "io/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/units.h"
#include "io/os_error.h"

namespace doozer::io {
namespace {

constexpr mode_t kFileMode = 0600;  // the data is nobody else's business
constexpr mode_t kDirectoryMode = 0700;

// Repeats a system call that a signal interrupted.
template <typename Call>
auto uninterrupted(Call call) {
  decltype(call()) result{};
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// Makes `directory` and its missing parents, and adds those that it made to `made`.
int make_path(const std::string& directory, std::vector<std::string>& made) {
  for (size_t end = 0; end != std::string::npos;) {
    end = directory.find('/', end + 1);
    const std::string prefix = directory.substr(0, end);
    if (::mkdir(prefix.c_str(), kDirectoryMode) == 0) {
      made.push_back(prefix);
    } else if (errno != EEXIST) {
      return errno;
    }
  }
  return 0;
}

void remove_directories(const std::vector<std::string>& made) {
  for (auto path = made.rbegin(); path != made.rend(); ++path) {
    if (::rmdir(path->c_str()) != 0) return;  // somebody uses it by now
  }
}

class RealFile final : public env::File {
 public:
  RealFile(std::string name, UniqueFd fd) : name_(std::move(name)), fd_(std::move(fd)) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t count = uninterrupted([&] {
        return ::pread(fd_.get(), out.data() + done, out.size() - done,
                       static_cast<off_t>(offset + done));
      });
      if (count < 0) return failed("read", offset + done);
      if (count == 0) break;
      done += static_cast<size_t>(count);
    }
    return done;
  }

  Result<void> write_at(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = uninterrupted([&] {
        return ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      });
      if (count < 0) return failed("write", offset);
      // Zero bytes without an error must not become an endless loop.
      if (count == 0) return fail(Code::io_error, name_ + ": write: nothing was taken");
      bytes.remove_prefix(static_cast<size_t>(count));
      offset += static_cast<uint64_t>(count);
    }
    return {};
  }

  // Never repeated after an error, not even EINTR: what the kernel then holds is unknown.
  Result<void> sync() override {
    if (::fdatasync(fd_.get()) != 0) return failed("sync");
    return {};
  }

  Result<void> resize(uint64_t size) override {
    const int result =
        uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); });
    if (result != 0) return failed("resize");
    return {};
  }

  Result<void> allocate(uint64_t size) override {
    if (size == 0) return resize(0);
    const int result =
        uninterrupted([&] { return ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)); });
    if (result != 0) {
      if (errno != EOPNOTSUPP && errno != ENOSYS) return failed("allocate");
      TRY(allocate_by_writing(size));
    }
    // "Makes the file that long" holds for a file that was longer, too.
    TRY_ASSIGN(const uint64_t now, this->size());
    if (now != size) TRY(resize(size));
    return {};
  }

  Result<uint64_t> size() override {
    struct stat status{};
    if (::fstat(fd_.get(), &status) != 0) return failed("stat");
    return static_cast<uint64_t>(status.st_size);
  }

 private:
  // For file systems that cannot reserve: writes zeros behind the end, which takes the blocks.
  Result<void> allocate_by_writing(uint64_t size) {
    const std::string zeros(64 * kKiB, '\0');
    TRY_ASSIGN(uint64_t offset, this->size());
    while (offset < size) {
      const size_t count = static_cast<size_t>(std::min<uint64_t>(zeros.size(), size - offset));
      TRY(write_at(offset, std::string_view(zeros).substr(0, count)));
      offset += count;
    }
    return {};
  }
  tl::unexpected<Error> failed(std::string_view doing) const {
    return fail(errno_error(errno, name_ + ": " + std::string(doing)));
  }
  tl::unexpected<Error> failed(std::string_view doing, uint64_t offset) const {
    const int error = errno;
    return fail(errno_error(
        error, name_ + ": " + std::string(doing) + " at offset " + std::to_string(offset)));
  }

  const std::string name_;
  const UniqueFd fd_;
};

// The process id that the holder wrote into the lock file, as " (process 123)"; empty if unknown.
std::string holder_of(int fd) {
  char text[24] = {};
  const ssize_t count = ::pread(fd, text, sizeof text - 1, 0);
  if (count <= 0) return {};
  std::string_view digits(text, static_cast<size_t>(count));
  digits = digits.substr(0, digits.find('\n'));
  const Result<int64_t> pid = parse_int(digits);
  return pid ? " (process " + std::to_string(*pid) + ")" : std::string();
}

}  // namespace

Result<std::unique_ptr<RealDisk>> RealDisk::open_directory(const std::string& directory,
                                                           bool create) {
  if (directory.empty()) return fail(Code::bad_argument, "the data directory has no name");
  const auto open_it = [&] {
    return UniqueFd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  };
  std::vector<std::string> made;
  UniqueFd fd = open_it();
  if (!fd && errno == ENOENT && create) {
    if (const int error = make_path(directory, made); error != 0) {
      remove_directories(made);
      return fail(errno_error(error, "data directory " + directory + ": create"));
    }
    fd = open_it();
  }
  if (!fd) return fail(errno_error(errno, "data directory " + directory));
  auto disk = std::unique_ptr<RealDisk>(new RealDisk(directory, std::move(fd)));
  disk->made_ = std::move(made);
  return disk;
}

std::string RealDisk::full(std::string_view path) const {
  if (path.empty()) return name_;
  return name_ + "/" + std::string(path);
}

Error RealDisk::error_of(int error, std::string_view doing, std::string_view path) const {
  return errno_error(error, full(path) + ": " + std::string(doing));
}

Result<std::unique_ptr<env::File>> RealDisk::open(std::string_view path, env::OpenMode mode) {
  int flags = O_CLOEXEC;
  switch (mode) {
    case env::OpenMode::read: flags |= O_RDONLY; break;
    case env::OpenMode::read_write: flags |= O_RDWR; break;
    case env::OpenMode::create: flags |= O_RDWR | O_CREAT | O_EXCL; break;
  }
  const std::string name(path);
  UniqueFd fd(
      uninterrupted([&] { return ::openat(directory_.get(), name.c_str(), flags, kFileMode); }));
  if (!fd) return fail(error_of(errno, mode == env::OpenMode::create ? "create" : "open", path));
  return std::make_unique<RealFile>(full(path), std::move(fd));
}

Result<bool> RealDisk::exists(std::string_view path) {
  if (::faccessat(directory_.get(), std::string(path).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    return true;
  }
  if (errno == ENOENT) return false;
  return fail(error_of(errno, "look", path));
}

Result<std::vector<std::string>> RealDisk::list(std::string_view directory) {
  const std::string name = directory.empty() ? "." : std::string(directory);
  UniqueFd fd(::openat(directory_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(error_of(errno, "list", directory));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), ::closedir);
  if (stream == nullptr) return fail(error_of(errno, "list", directory));
  static_cast<void>(fd.release());  // closedir closes it
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view found = entry->d_name;
    if (found != "." && found != "..") names.emplace_back(found);
  }
  if (errno != 0) return fail(error_of(errno, "list", directory));
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> RealDisk::make_directory(std::string_view path) {
  if (::mkdirat(directory_.get(), std::string(path).c_str(), kDirectoryMode) == 0) return {};
  const int error = errno;
  if (error != EEXIST) return fail(error_of(error, "make directory", path));
  struct stat status{};
  if (::fstatat(directory_.get(), std::string(path).c_str(), &status, 0) != 0) {
    return fail(error_of(errno, "make directory", path));
  }
  if (!S_ISDIR(status.st_mode)) return fail(error_of(ENOTDIR, "make directory", path));
  return {};
}

Result<void> RealDisk::rename(std::string_view from, std::string_view to) {
  if (::renameat(directory_.get(), std::string(from).c_str(), directory_.get(),
                 std::string(to).c_str()) == 0) {
    return {};
  }
  return fail(error_of(errno, "rename to " + std::string(to), from));
}

Result<void> RealDisk::remove(std::string_view path) {
  const std::string name(path);
  if (::unlinkat(directory_.get(), name.c_str(), 0) == 0) return {};
  // Linux says EISDIR for a directory, POSIX EPERM.
  if (errno == EISDIR || errno == EPERM) {
    if (::unlinkat(directory_.get(), name.c_str(), AT_REMOVEDIR) == 0) return {};
  }
  return fail(error_of(errno, "remove", path));
}

Result<void> RealDisk::sync_directory(std::string_view directory) {
  const std::string name = directory.empty() ? "." : std::string(directory);
  const UniqueFd fd(::openat(directory_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(error_of(errno, "sync directory", directory));
  if (::fsync(fd.get()) != 0) return fail(error_of(errno, "sync directory", directory));
  return {};
}

Result<uint64_t> RealDisk::free_bytes() {
  struct statvfs status{};
  const int result = uninterrupted([&] { return ::fstatvfs(directory_.get(), &status); });
  if (result != 0) return fail(error_of(errno, "ask for free space", ""));
  // What is reserved for root does not count, not even for root.
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

Result<void> RealDisk::lock(std::string_view path) {
  CHECK(!lock_);
  const std::string name(path);
  const auto open_it = [&](int more) {
    return UniqueFd(
        ::openat(directory_.get(), name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | more, kFileMode));
  };
  UniqueFd fd = open_it(O_EXCL);
  const bool made = static_cast<bool>(fd);
  if (!fd && errno == EEXIST) fd = open_it(0);
  if (!fd) return fail(error_of(errno, "lock", path));
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd.get(), F_OFD_SETLK, &whole) != 0) {
    if (errno != EAGAIN && errno != EACCES) return fail(error_of(errno, "lock", path));
    return fail(Code::conflict, full(path) + ": the data directory is in use by another server" +
                                    holder_of(fd.get()));
  }
  // Only for the message above; a failure to write it costs no more than that.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) == 0) {
    [[maybe_unused]] const ssize_t written = ::pwrite(fd.get(), pid.data(), pid.size(), 0);
  }
  lock_ = std::move(fd);
  if (made) lock_made_ = name;
  return {};
}

// The lock is held while its file goes, and the directory is left alone if anything else is there.
void RealDisk::undo_start() {
  const auto names = list("");
  const size_t ours = lock_made_.empty() ? 0 : 1;
  if (!names || names->size() != ours) return;
  if (!lock_made_.empty()) {
    if (names->front() != lock_made_ || !remove(std::exchange(lock_made_, {}))) return;
  }
  remove_directories(std::exchange(made_, {}));
}

}  // namespace doozer::io
