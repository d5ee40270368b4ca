#include "sim/disk.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace doozer::sim {

/// What disk and files share.
struct SimDisk::World {
  explicit World(const SimDiskOptions& given)
      : options(given), medium(given.capacity_bytes), rng(given.seed) {}

  SimDiskOptions options;
  Medium medium;
  Rng rng;
  bool gone = false;  ///< the disk was destroyed
  uint64_t boot = 1;  ///< handles of an earlier one are dead
  std::optional<CrashKind> down;
  std::optional<Operation> crashed_in;
  std::map<uint64_t, Fate> plans;
  std::map<uint64_t, Fate> read_plans;
  UniqueFunction<Fate(const Operation&)> judge;
  std::set<std::string, std::less<>> locks;
  std::string label;
  std::vector<Operation> log;
  uint64_t reads = 0;
  uint64_t digest = 0;
  uint64_t spent_us = 0;

  Result<void> usable() const {
    if (down || gone) return fail(Code::closed, "the simulated disk has crashed");
    return {};
  }
  Fate fate_of(const Operation& operation);
  Fate begin(Operation operation, std::string_view bytes);
  Result<void> perform(Operation operation, UniqueFunction<void()> happen,
                       UniqueFunction<void()> fail_it = {});
  Result<void> refuse(const Operation& operation, Code code) const;
  void crash_now(const Fate& fate) {
    down = fate.crash;
    crashed_in = log.back();
  }
  Result<void> write(NodeId file, const std::string& path, uint64_t offset, std::string_view bytes);
};

namespace {

Error missing(std::string_view path) {
  return {Code::not_found, "file " + quote(path) + ": does not exist"};
}

Survival survival_of(CrashKind kind) {
  switch (kind) {
    case CrashKind::machine_lost: return Survival::lost;
    case CrashKind::machine_kept: return Survival::kept;
    case CrashKind::machine_torn: return Survival::torn;
    case CrashKind::machine_mixed: return Survival::mixed;
    case CrashKind::process: break;
  }
  UNREACHABLE();
}

}  // namespace

/// Draws an operation's fate and takes its time.
Fate SimDisk::World::fate_of(const Operation& operation) {
  std::map<uint64_t, Fate>& planned = operation.kind == DiskOp::read ? read_plans : plans;
  Fate fate;
  if (const auto found = planned.find(operation.number); found != planned.end()) {
    fate = found->second;
  } else if (judge) {
    fate = judge(operation);
  }
  spent_us += fate.extra_us;
  return fate;
}

/// Numbers and logs a mutating operation.
Fate SimDisk::World::begin(Operation operation, std::string_view bytes) {
  operation.number = log.size() + 1;
  operation.label = label;
  digest = hash64(to_string(operation), digest);
  digest = hash64(bytes, digest);
  switch (operation.kind) {
    case DiskOp::sync:
    case DiskOp::sync_directory: spent_us += options.sync_us; break;
    case DiskOp::write: spent_us += options.write_us; break;
    case DiskOp::resize:
    case DiskOp::allocate:
    case DiskOp::create:
    case DiskOp::make_directory:
    case DiskOp::rename:
    case DiskOp::remove:
    case DiskOp::read: spent_us += options.other_us; break;
  }
  log.push_back(std::move(operation));
  return fate_of(log.back());
}

Result<void> SimDisk::World::refuse(const Operation& operation, Code code) const {
  return fail(code, std::string(disk_op_name(operation.kind)) + " of file " +
                        quote(operation.path) + ": simulated failure of operation " +
                        std::to_string(operation.number));
}

/// Does an operation that happens whole or not at all. `fail_it`: what a failure does.
Result<void> SimDisk::World::perform(Operation operation, UniqueFunction<void()> happen,
                                     UniqueFunction<void()> fail_it) {
  const Fate fate = begin(std::move(operation), {});
  switch (fate.kind) {
    case Fate::Kind::none: happen(); return {};
    case Fate::Kind::fail:
      if (fail_it) fail_it();
      return refuse(log.back(), fate.code);
    case Fate::Kind::crash:
      if (fate.moment == Moment::after || (fate.moment == Moment::during && rng.chance(1, 2))) {
        happen();
      }
      crash_now(fate);
      return usable();
  }
  UNREACHABLE();
}

Result<void> SimDisk::World::write(NodeId file, const std::string& path, uint64_t offset,
                                   std::string_view bytes) {
  const Fate fate =
      begin({.kind = DiskOp::write, .path = path, .to = {}, .offset = offset, .size = bytes.size()},
            bytes);
  size_t wanted = bytes.size();
  const bool partly = fate.kind == Fate::Kind::fail ||
                      (fate.kind == Fate::Kind::crash && fate.moment == Moment::during);
  if (partly) wanted = static_cast<size_t>(rng.below(bytes.size() + 1));
  // A crash leaves whole sectors, as in medium.h.
  if (partly && fate.kind == Fate::Kind::crash && wanted < bytes.size()) {
    wanted -= std::min<size_t>(wanted, (offset + wanted) % kSectorBytes);
  }
  if (fate.kind == Fate::Kind::crash && fate.moment == Moment::before) wanted = 0;
  const size_t done = medium.write(file, offset, bytes.substr(0, wanted));
  if (fate.kind == Fate::Kind::fail) return refuse(log.back(), fate.code);
  if (fate.kind == Fate::Kind::crash) {
    crash_now(fate);
    return usable();
  }
  if (done < bytes.size()) {
    return fail(Code::no_space, "write to file " + quote(path) + ": no space left on the disk");
  }
  return {};
}

/// A handle; dead once its process is.
class SimFile final : public env::File {
 public:
  SimFile(std::shared_ptr<SimDisk::World> world, NodeId file, std::string_view path, bool writable)
      : world_(std::move(world)),
        boot_(world_->boot),
        file_(file),
        path_(path),
        writable_(writable) {
    world_->medium.opened(file_);
  }
  ~SimFile() override {
    if (world_->boot == boot_ && !world_->gone) world_->medium.closed(file_);
  }
  SimFile(const SimFile&) = delete;
  SimFile& operator=(const SimFile&) = delete;

  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    TRY(usable());
    const Operation operation{.number = ++world_->reads,
                              .kind = DiskOp::read,
                              .path = name(),
                              .to = {},
                              .offset = offset,
                              .size = out.size(),
                              .label = world_->label};
    const Fate fate = world_->fate_of(operation);
    if (fate.kind == Fate::Kind::fail) {
      TRY(world_->refuse(operation, fate.code));
    }
    return world_->medium.read(file_, offset, out);
  }
  Result<void> write_at(uint64_t offset, std::string_view bytes) override {
    TRY(changeable());
    return world_->write(file_, name(), offset, bytes);
  }
  Result<void> sync() override {
    TRY(changeable());
    return world_->perform(
        {.kind = DiskOp::sync, .path = name()}, [this] { world_->medium.sync(file_); },
        [this] { world_->medium.fail_sync(file_); });
  }
  Result<void> resize(uint64_t size) override {
    TRY(changeable());
    return world_->perform({.kind = DiskOp::resize, .path = name(), .to = {}, .size = size},
                           [this, size] { world_->medium.resize(file_, size); });
  }
  Result<void> allocate(uint64_t size) override {
    TRY(changeable());
    bool fits = true;
    TRY(world_->perform({.kind = DiskOp::allocate, .path = name(), .to = {}, .size = size},
                        [&] { fits = world_->medium.allocate(file_, size); }));
    if (!fits) {
      return fail(Code::no_space, "allocation of " + std::to_string(size) + " bytes for file " +
                                      quote(path_) + ": no space left on the disk");
    }
    return {};
  }
  Result<uint64_t> size() override {
    TRY(usable());
    return world_->medium.size(file_);
  }

 private:
  std::string name() const { return world_->medium.name_of(file_).value_or(path_); }
  Result<void> usable() const {
    TRY(world_->usable());
    if (world_->boot != boot_) {
      return fail(Code::closed, "file " + quote(path_) + ": the handle died with its process");
    }
    return {};
  }
  Result<void> changeable() const {
    TRY(usable());
    if (!writable_) return fail(Code::io_error, "file " + quote(path_) + ": opened for reading");
    return {};
  }
  std::shared_ptr<SimDisk::World> world_;
  uint64_t boot_;
  NodeId file_;
  std::string path_;
  bool writable_;
};

SimDisk::SimDisk(const SimDiskOptions& options) : world_(std::make_shared<World>(options)) {}
SimDisk::~SimDisk() { world_->gone = true; }

Result<std::unique_ptr<env::File>> SimDisk::open(std::string_view path, env::OpenMode mode) {
  TRY(world_->usable());
  Medium& medium = world_->medium;
  auto found = medium.find(path);
  if (mode == env::OpenMode::create) {
    if (found) return fail(Code::conflict, "file " + quote(path) + ": exists already");
    if (!medium.is_directory(directory_of(path))) return fail(missing(directory_of(path)));
    if (medium.free_bytes() < kSectorBytes) {
      return fail(Code::no_space, "file " + quote(path) + ": no space left on the disk");
    }
    TRY(world_->perform({.kind = DiskOp::create, .path = std::string(path)},
                        [&] { found = medium.create(path, false); }));
  }
  if (!found) return fail(missing(path));
  if (medium.is_directory(path)) {
    return fail(Code::io_error, "file " + quote(path) + ": is a directory");
  }
  return std::make_unique<SimFile>(world_, *found, path, mode != env::OpenMode::read);
}

Result<bool> SimDisk::exists(std::string_view path) {
  TRY(world_->usable());
  return path.empty() || world_->medium.find(path).has_value();
}

Result<std::vector<std::string>> SimDisk::list(std::string_view directory) {
  TRY(world_->usable());
  if (!world_->medium.is_directory(directory)) return fail(missing(directory));
  return world_->medium.list(directory);
}

Result<void> SimDisk::make_directory(std::string_view path) {
  TRY(world_->usable());
  if (world_->medium.is_directory(path)) return {};
  if (world_->medium.find(path)) {
    return fail(Code::io_error, "directory " + quote(path) + ": a file has that name");
  }
  if (!world_->medium.is_directory(directory_of(path))) return fail(missing(directory_of(path)));
  return world_->perform({.kind = DiskOp::make_directory, .path = std::string(path)},
                         [&] { world_->medium.create(path, true); });
}

Result<void> SimDisk::rename(std::string_view from, std::string_view to) {
  TRY(world_->usable());
  if (!world_->medium.find(from)) return fail(missing(from));
  if (world_->medium.is_directory(from) || world_->medium.is_directory(to) ||
      !world_->medium.is_directory(directory_of(to))) {
    return fail(Code::io_error, "rename of " + quote(from) + " to " + quote(to) +
                                    ": only files can be renamed here");
  }
  return world_->perform({.kind = DiskOp::rename, .path = std::string(from), .to = std::string(to)},
                         [&] { world_->medium.rename(from, to); });
}

Result<void> SimDisk::remove(std::string_view path) {
  TRY(world_->usable());
  if (!world_->medium.find(path)) return fail(missing(path));
  if (world_->medium.is_directory(path) && !world_->medium.list(path).empty()) {
    return fail(Code::io_error, "directory " + quote(path) + ": is not empty");
  }
  return world_->perform({.kind = DiskOp::remove, .path = std::string(path)},
                         [&] { world_->medium.remove(path); });
}

Result<void> SimDisk::sync_directory(std::string_view directory) {
  TRY(world_->usable());
  if (!world_->medium.is_directory(directory)) return fail(missing(directory));
  return world_->perform(
      {.kind = DiskOp::sync_directory, .path = std::string(directory)},
      [&] { world_->medium.sync_directory(directory); },
      [&] { world_->medium.fail_sync_directory(directory); });
}

Result<uint64_t> SimDisk::free_bytes() {
  TRY(world_->usable());
  return world_->medium.free_bytes();
}

Result<void> SimDisk::lock(std::string_view path) {
  TRY(world_->usable());
  if (!world_->medium.find(path)) {
    TRY(world_->perform({.kind = DiskOp::create, .path = std::string(path)},
                        [&] { world_->medium.create(path, false); }));
  }
  if (!world_->locks.emplace(path).second) {
    return fail(Code::conflict, "file " + quote(path) + ": locked by process 1");
  }
  return {};
}

// --- Plans and crashes

void SimDisk::plan(uint64_t number, const Fate& fate) { world_->plans[number] = fate; }

void SimDisk::crash_at(uint64_t number, CrashKind kind, Moment moment) {
  plan(number, {.kind = Fate::Kind::crash, .crash = kind, .moment = moment});
}

void SimDisk::fail_at(uint64_t number, Code code) {
  plan(number, {.kind = Fate::Kind::fail, .code = code});
}

void SimDisk::fail_read_at(uint64_t number, Code code) {
  world_->read_plans[number] = {.kind = Fate::Kind::fail, .code = code};
}

void SimDisk::on_operation(UniqueFunction<Fate(const Operation&)> judge) {
  world_->judge = std::move(judge);
}

void SimDisk::clear_plans() {
  world_->plans.clear();
  world_->read_plans.clear();
  world_->judge = {};
}

void SimDisk::crash(CrashKind kind) {
  world_->down = kind;
  world_->crashed_in.reset();
}

bool SimDisk::crashed() const { return world_->down.has_value(); }

const std::optional<Operation>& SimDisk::crashed_in() const { return world_->crashed_in; }

void SimDisk::restart() {
  const CrashKind kind = world_->down.value_or(CrashKind::process);
  if (kind == CrashKind::process) {
    world_->medium.process_crash();
  } else {
    world_->medium.machine_crash(survival_of(kind), world_->rng);
  }
  ++world_->boot;
  world_->down.reset();
  world_->locks.clear();
}

std::unique_ptr<SimDisk> SimDisk::clone(uint64_t seed) const {
  CHECK(!crashed());
  SimDiskOptions options = world_->options;
  options.seed = seed;
  auto copy = std::make_unique<SimDisk>(options);
  World& world = *copy->world_;
  world.medium = world_->medium;
  world.medium.process_crash();
  world.log = world_->log;
  world.reads = world_->reads;
  world.digest = world_->digest;
  return copy;
}

// --- Damage and the world

void SimDisk::flip_bit(std::string_view path, uint64_t byte, unsigned bit) {
  const auto file = world_->medium.find(path);
  CHECK(file.has_value());
  world_->medium.flip_bit(*file, byte, bit);
}

bool SimDisk::flip_random_bit(std::string_view prefix) {
  std::vector<std::pair<std::string, uint64_t>> files;
  uint64_t bytes = 0;
  std::vector<std::string> directories{""};
  for (size_t i = 0; i < directories.size(); ++i) {
    for (const std::string& name : world_->medium.list(directories[i])) {
      const std::string path = directories[i].empty() ? name : directories[i] + "/" + name;
      if (world_->medium.is_directory(path)) {
        directories.push_back(path);
      } else if (path.starts_with(prefix)) {
        files.emplace_back(path, world_->medium.size(*world_->medium.find(path)));
        bytes += files.back().second;
      }
    }
  }
  if (bytes == 0) return false;
  uint64_t byte = world_->rng.below(bytes);
  size_t at = 0;
  while (byte >= files[at].second) byte -= files[at++].second;
  flip_bit(files[at].first, byte, static_cast<unsigned>(world_->rng.below(8)));
  return true;
}

bool SimDisk::flip_recent_bit(std::string_view prefix) {
  constexpr size_t kRecentWrites = 4;
  std::vector<const Operation*> recent;
  for (size_t i = log().size(); i > 0 && recent.size() < kRecentWrites; --i) {
    const Operation& one = log()[i - 1];
    if (one.kind != DiskOp::write || one.size == 0 || !one.path.starts_with(prefix)) continue;
    const auto file = world_->medium.find(one.path);
    if (file && one.offset + one.size <= world_->medium.size(*file)) recent.push_back(&one);
  }
  if (recent.empty()) return false;
  // The very last one in most cases: nothing behind it says that it was synced.
  const size_t which = world_->rng.chance(2, 3) ? 0 : world_->rng.below(recent.size());
  const Operation& hit = *recent[which];
  const uint64_t byte = world_->rng.below(hit.size);
  flip_bit(hit.path, hit.offset + byte, static_cast<unsigned>(world_->rng.below(8)));
  return true;
}

void SimDisk::set_capacity(uint64_t bytes) { world_->medium.set_capacity(bytes); }
void SimDisk::leave_free(uint64_t bytes) {
  world_->medium.set_capacity(world_->medium.used_bytes() + bytes);
}
void SimDisk::label(std::string_view text) { world_->label = text; }

// --- What was done

uint64_t SimDisk::operations() const { return world_->log.size(); }
uint64_t SimDisk::reads() const { return world_->reads; }
const std::vector<Operation>& SimDisk::log() const { return world_->log; }
uint64_t SimDisk::digest() const { return world_->digest; }
uint64_t SimDisk::take_spent_us() { return std::exchange(world_->spent_us, 0); }

std::optional<std::string> SimDisk::peek(std::string_view path) const {
  const auto file = world_->medium.find(path);
  if (!file || world_->medium.is_directory(path)) return std::nullopt;
  std::string content(static_cast<size_t>(world_->medium.size(*file)), '\0');
  world_->medium.read(*file, 0, content);
  return content;
}

// --- Names of things

std::string_view disk_op_name(DiskOp kind) {
  switch (kind) {
    case DiskOp::write: return "write";
    case DiskOp::sync: return "sync";
    case DiskOp::resize: return "resize";
    case DiskOp::allocate: return "allocate";
    case DiskOp::create: return "create";
    case DiskOp::make_directory: return "make_directory";
    case DiskOp::rename: return "rename";
    case DiskOp::remove: return "remove";
    case DiskOp::sync_directory: return "sync_directory";
    case DiskOp::read: return "read";
  }
  UNREACHABLE();
}

std::string_view crash_kind_name(CrashKind kind) {
  switch (kind) {
    case CrashKind::process: return "process";
    case CrashKind::machine_lost: return "machine_lost";
    case CrashKind::machine_kept: return "machine_kept";
    case CrashKind::machine_torn: return "machine_torn";
    case CrashKind::machine_mixed: return "machine_mixed";
  }
  UNREACHABLE();
}

std::string_view moment_name(Moment moment) {
  switch (moment) {
    case Moment::before: return "before";
    case Moment::during: return "during";
    case Moment::after: return "after";
  }
  UNREACHABLE();
}

std::string to_string(const Operation& operation) {
  std::string text = std::to_string(operation.number) + ' ' +
                     std::string(disk_op_name(operation.kind)) + ' ' + operation.path;
  if (!operation.to.empty()) text += " to " + operation.to;
  if (operation.offset != 0) text += " offset " + std::to_string(operation.offset);
  if (operation.size != 0) text += " size " + std::to_string(operation.size);
  if (!operation.label.empty()) text += " (" + operation.label + ")";
  return text;
}

}  // namespace doozer::sim
