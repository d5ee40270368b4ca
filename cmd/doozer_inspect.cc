// doozer-inspect: reads the files of a Doozer server while no server runs on them, says whether
// they are whole, and saves what is left of damaged ones. It never changes what it reads.
#include <fcntl.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "cmd/doozer_inspect_print.h"
#include "cmd/doozer_inspect_read.h"
#include "cmd/doozer_inspect_salvage.h"
#include "io/descriptors.h"
#include "io/disk.h"
#include "io/entropy.h"
#include "io/fd.h"
#include "io/os_error.h"
#include "storage/bytes_disk.h"
#include "storage/repair_file.h"

namespace doozer::inspect {
namespace {

namespace fs = std::filesystem;

constexpr int kGood = 0;
constexpr int kDamaged = 1;
constexpr int kUsage = 2;
constexpr uint64_t kSegmentFileBytesMax = uint64_t{4} << 30U;
constexpr std::string_view kSnapshotMagic = "DOOZSNAP";

struct Arguments {
  std::string path;
  std::string format = "text";
  PrintOptions print;
  bool salvage = false;
  std::string source;
  std::string target;
  bool write = false;
};

void say(std::FILE* where, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), where);
}

/// Tells an error; what cannot be read is damage, what does not exist is a wrong call.
int complain(const Error& error) {
  say(stderr, "doozer-inspect: " + error.message + "\n");
  return error.code == Code::not_found || error.code == Code::conflict ? kUsage : kDamaged;
}

struct Place {
  std::string directory;
  std::string name;
};

Place split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Result<int> inspect_directory(const Arguments& arguments) {
  TRY_ASSIGN(const auto disk, io::RealDisk::open_directory(arguments.path, false));
  TRY_ASSIGN(const DirectoryFinding found, read_directory(*disk));
  TRY_ASSIGN(const std::string text, print_directory(*disk, found, arguments.print));
  say(stdout, text);
  return found.good() ? kGood : kDamaged;
}

Result<int> inspect_snapshot(env::Disk& disk, const std::string& name,
                             const PrintOptions& options) {
  TRY_ASSIGN(const SnapshotFinding found, read_snapshot(disk, name, nullptr));
  say(stdout, print_snapshot(found, options) + (options.json ? "\n" : ""));
  return found.damage.empty() ? kGood : kDamaged;
}

/// A segment is known by the number in its header; a damaged one by its name.
Result<int> inspect_segment_file(env::Disk& disk, const Place& place, const PrintOptions& options) {
  const std::string& name = place.name;
  TRY_ASSIGN(std::string bytes, env::read_file(disk, name, kSegmentFileBytesMax));
  auto number = storage::segment_number_of(bytes);
  std::string_view plain = name;
  if (plain.ends_with(storage::kDamagedSuffix)) plain.remove_suffix(storage::kDamagedSuffix.size());
  if (!number) number = storage::parse_segment_name(plain).value_or(1);
  storage::BytesDisk memory(storage::segment_path(*number), std::move(bytes));
  storage::RecordVisitor nobody = [](const storage::Record&, size_t, uint32_t) {};
  TRY_ASSIGN(
      storage::SegmentInspection segment,
      storage::inspect_segment(memory, {.number = *number, .owner = {}, .ends_at = {}}, nobody));
  // It was read under the name that its number gives it; people know it by theirs.
  segment.path = name;
  for (storage::Damage& damage : segment.damages) damage.file = name;
  if (segment.torn) segment.torn->file = name;
  TRY_ASSIGN(const std::string text, print_segment(memory, segment, std::nullopt, options));
  say(stdout, text + (options.json ? "\n" : ""));
  const bool whole = segment.damages.empty() && !segment.torn;
  return whole ? kGood : kDamaged;
}

Result<int> inspect_file(const Arguments& arguments) {
  const Place place = split(arguments.path);
  TRY_ASSIGN(const auto disk, io::RealDisk::open_directory(place.directory, false));
  std::string magic(kSnapshotMagic.size(), '\0');
  {
    TRY_ASSIGN(const auto file, disk->open(place.name, env::OpenMode::read));
    TRY(file->read_at(0, magic));
  }
  if (magic == kSnapshotMagic || place.name.ends_with(".snap")) {
    return inspect_snapshot(*disk, place.name, arguments.print);
  }
  return inspect_segment_file(*disk, place, arguments.print);
}

/// A server that runs there goes on writing while its files are read. Nothing is made or changed:
/// the lock is only asked about.
void warn_of_server(const std::string& directory) {
  const io::UniqueFd file(::open((directory + "/lock").c_str(), O_RDONLY | O_CLOEXEC));
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (!file || ::fcntl(file.get(), F_OFD_GETLK, &whole) != 0 || whole.l_type == F_UNLCK) return;
  say(stderr, "doozer-inspect: warning: a server runs on " + directory +
                  ": what it is writing now may look damaged or be missed; stop it first\n");
}

/// The new directory must stand apart from the old one, in a folder that is there: a mistyped name
/// makes no tree of folders.
Result<void> check_target(const Arguments& arguments) {
  std::error_code error;
  const fs::path source = fs::canonical(arguments.source, error);
  if (error)
    return fail(Code::not_found, "data directory " + arguments.source + ": " + error.message());
  fs::path target = fs::weakly_canonical(fs::absolute(arguments.target), error);
  if (!target.has_filename()) target = target.parent_path();  // "NEWDIR/"
  const fs::path parent = target.parent_path();
  if (error || !fs::is_directory(parent, error)) {
    return fail(Code::not_found, "new directory " + quote(arguments.target) +
                                     ": there is no folder " + quote(parent.string()) +
                                     " to make it in");
  }
  const auto [left, right] =
      std::mismatch(source.begin(), source.end(), target.begin(), target.end());
  if (left == source.end()) {
    return fail(Code::conflict, "new directory " + quote(arguments.target) + ": is within " +
                                    quote(arguments.source) + ", which is only read");
  }
  return {};
}

Result<int> salvage(const Arguments& arguments) {
  TRY(check_target(arguments));
  warn_of_server(arguments.source);
  TRY_ASSIGN(const auto source, io::RealDisk::open_directory(arguments.source, false));
  TRY_ASSIGN(const DirectoryFinding found, read_directory(*source));
  TRY_ASSIGN(SalvagePlan plan, plan_salvage(*source, found));
  const storage::Ownership owner{.cluster = io::random_identity(),
                                 .identity = io::random_identity()};
  if (!arguments.write) {
    // So that it tells of the state that --write would leave.
    TRY(alone_state(plan, owner));
  } else {
    TRY_ASSIGN(const auto target, io::RealDisk::open_directory(arguments.target, true));
    TRY(target->lock("lock"));
    TRY(write_plan(plan, *target, owner));
  }
  say(stdout, print_plan(plan, arguments.print.json, arguments.write));
  return plan.lost.empty() ? kGood : kDamaged;
}

Result<int> run(const Arguments& arguments) {
  if (arguments.salvage) return salvage(arguments);
  struct stat status{};
  if (stat(arguments.path.c_str(), &status) != 0) {
    return fail(Code::not_found, "file " + quote(arguments.path) + ": " + io::errno_text(errno));
  }
  if (S_ISDIR(status.st_mode)) {
    warn_of_server(arguments.path);
    return inspect_directory(arguments);
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(Code::not_found,
                "file " + quote(arguments.path) + ": is neither a file nor a directory");
  }
  return inspect_file(arguments);
}

void describe(CLI::App& app, Arguments& arguments) {
  app.set_version_flag("--version", "doozer-inspect " DOOZER_VERSION);
  app.add_option("PATH", arguments.path,
                 "a data directory, a log segment (*.wal) or a snapshot (*.snap)");
  app.add_option("-o,--output", arguments.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_flag("--records", arguments.print.records, "list every record of the log");
  app.add_flag("--commands", arguments.print.commands,
               "and what its command does: paths, revisions, sizes");
  app.add_flag("--values", arguments.print.values, "and the values");
  app.footer("Exit status: 0 all is well; 1 something is damaged or missing; 2 wrong usage.");
  CLI::App* salvage =
      app.add_subcommand("salvage", "make a fresh data directory of what is intact in DIR");
  salvage->add_option("DIR", arguments.source, "the damaged data directory; only read")->required();
  salvage
      ->add_option("NEWDIR", arguments.target,
                   "the new one; missing or empty, outside of DIR, in a folder that is there")
      ->required();
  salvage->add_flag("--write", arguments.write, "do it; without this only tell what would be kept");
  salvage->add_option("-o,--output", arguments.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  salvage->callback([&arguments] { arguments.salvage = true; });
}

int main_of(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Lists and verifies the files of a Doozer server offline.", "doozer-inspect");
  describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kGood : kUsage;
  }
  if (!arguments.salvage && arguments.path.empty()) {
    say(stderr, "doozer-inspect: which file or directory? See doozer-inspect --help\n");
    return kUsage;
  }
  PrintOptions& print = arguments.print;
  print.json = arguments.format == "json";
  print.commands = print.commands || print.values;
  print.records = print.records || print.commands;
  const auto status = run(arguments);
  return status ? *status : complain(status.error());
}

}  // namespace
}  // namespace doozer::inspect

int main(int argc, char** argv) {
  doozer::io::hold_standard_descriptors();
  return doozer::inspect::main_of(argc, argv);
}
