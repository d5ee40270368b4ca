// A disk that fails as real ones do, at the operation that a test names. The world under it is
// sim/medium.h, which says what survives what.
//
// Mutating operations (write, sync, resize, allocate, create, make_directory, rename, remove,
// sync_directory) are numbered from 1 over the whole life of the disk, restarts included; so a test
// first runs its workload to the end, then again for each number with a crash planned there.
// After a crash every call on the disk and on its files answers `closed`, until restart() gives the
// next process what survived. The same seed, plan and calls give the same bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/rng.h"
#include "env/disk.h"
#include "sim/medium.h"

namespace doozer::sim {

enum class DiskOp : uint8_t {
  write,
  sync,
  resize,
  allocate,
  create,
  make_directory,
  rename,
  remove,
  sync_directory,
  read,  ///< not mutating; numbered apart, from 1
};
std::string_view disk_op_name(DiskOp kind);

/// One call, as it stands in the log of operations.
struct Operation {
  uint64_t number = 0;
  DiskOp kind = DiskOp::write;
  std::string path = {};  ///< of a file: as it is called now, else as it was opened
  std::string to = {};    ///< rename
  uint64_t offset = 0;
  uint64_t size = 0;       ///< bytes, or the new size
  std::string label = {};  ///< what the test said it was doing, see SimDisk::label()
};
/// "17 write log/0000000000000001.wal offset 512 size 96 (filling)".
std::string to_string(const Operation& operation);

enum class CrashKind : uint8_t {
  process,        ///< the machine lives: unsynced bytes and names still read back
  machine_lost,   ///< Survival::lost
  machine_kept,   ///< Survival::kept
  machine_torn,   ///< Survival::torn
  machine_mixed,  ///< Survival::mixed
};
constexpr CrashKind kCrashKinds[] = {CrashKind::process, CrashKind::machine_lost,
                                     CrashKind::machine_kept, CrashKind::machine_torn,
                                     CrashKind::machine_mixed};
std::string_view crash_kind_name(CrashKind kind);

enum class Moment : uint8_t {
  before,  ///< nothing of the operation happened
  during,  ///< some first sectors of a write; any other operation happened or not
  after,   ///< it happened, and nobody was told
};
constexpr Moment kMoments[] = {Moment::before, Moment::during, Moment::after};
std::string_view moment_name(Moment moment);

/// What befalls one operation. A failing write leaves a part of its bytes, a failing sync is the
/// failed sync of medium.h, anything else that fails has not happened.
struct Fate {
  enum class Kind : uint8_t { none, fail, crash } kind = Kind::none;
  Code code = Code::io_error;                 ///< fail
  CrashKind crash = CrashKind::machine_lost;  ///< crash
  Moment moment = Moment::before;             ///< crash
  uint64_t extra_us = 0;                      ///< it takes so much longer (a stuck sync)
};

struct SimDiskOptions {
  uint64_t seed = 1;
  uint64_t capacity_bytes = uint64_t{1} << 40U;
  uint64_t sync_us = 80;  ///< what each takes in virtual time (SimLanes asks for it)
  uint64_t write_us = 5;
  uint64_t other_us = 20;
};

/// One thread. Files may outlive the disk; they are closed then.
class SimDisk final : public env::Disk {
 public:
  explicit SimDisk(const SimDiskOptions& options = {});
  ~SimDisk() override;
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  // --- env::Disk
  Result<std::unique_ptr<env::File>> open(std::string_view path, env::OpenMode mode) override;
  Result<bool> exists(std::string_view path) override;
  Result<std::vector<std::string>> list(std::string_view directory) override;
  Result<void> make_directory(std::string_view path) override;
  Result<void> rename(std::string_view from, std::string_view to) override;
  Result<void> remove(std::string_view path) override;
  Result<void> sync_directory(std::string_view directory) override;
  Result<uint64_t> free_bytes() override;
  Result<void> lock(std::string_view path) override;

  // --- Plans. A later one for the same number replaces the earlier.
  void plan(uint64_t number, const Fate& fate);
  void crash_at(uint64_t number, CrashKind kind, Moment moment = Moment::before);
  void fail_at(uint64_t number, Code code = Code::io_error);
  void fail_read_at(uint64_t number, Code code = Code::io_error);
  /// Asked for every operation without a planned fate, reads too; empty: none.
  void on_operation(UniqueFunction<Fate(const Operation&)> judge);
  void clear_plans();

  // --- Crashes
  /// At once, between two operations.
  void crash(CrashKind kind);
  bool crashed() const;
  /// The operation of the last planned crash; none if it came by crash() or never.
  const std::optional<Operation>& crashed_in() const;
  /// The next process: what survived, without handles, locks or crash. A running process is killed.
  void restart();
  /// The same disk again as a new process finds it, plans and label not copied. REQUIRES no crash
  /// waiting for its restart. Handles stay with the old one.
  std::unique_ptr<SimDisk> clone(uint64_t seed) const;

  // --- Damage and the world
  void flip_bit(std::string_view path, uint64_t byte, unsigned bit);
  /// Flips a bit of a file whose path begins with `prefix`; false if there is no byte to flip.
  bool flip_random_bit(std::string_view prefix);
  /// Flips a bit of what one of the last few writes to such files wrote, if it still is there.
  bool flip_recent_bit(std::string_view prefix);
  void set_capacity(uint64_t bytes);
  /// Sets the capacity so that so much is free now.
  void leave_free(uint64_t bytes);
  /// Noted with each operation from here on.
  void label(std::string_view text);

  // --- What was done
  uint64_t operations() const;  ///< the number of the newest mutating one
  uint64_t reads() const;
  const std::vector<Operation>& log() const;  ///< mutating ones, since the disk was made
  /// Over all mutating operations and their bytes: equal for equal runs.
  uint64_t digest() const;
  /// Virtual time that operations took since the last call.
  uint64_t take_spent_us();
  /// A file as it reads now, without touching plans; nullopt if there is none.
  std::optional<std::string> peek(std::string_view path) const;

 private:
  friend class SimFile;
  struct World;
  std::shared_ptr<World> world_;
};

}  // namespace doozer::sim
