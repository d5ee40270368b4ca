#include "storage/preparer.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/limits.h"
#include "base/probe.h"
#include "storage/ballast.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

std::string temporary_path(uint64_t number) { return segment_path(number) + ".tmp"; }

/// Lowers request.bytes to what there is room for.
Result<std::unique_ptr<env::File>> create_file(env::Disk& disk, Preparer::Request& request) {
  TRY_ASSIGN(uint64_t free, disk.free_bytes());
  if (free < request.bytes_min + request.keep_free && request.ballast_left) {
    PROBE("wal: a segment out of the ballast");
    TRY(cut_ballast(disk, *request.ballast_left));
    TRY_ASSIGN(free, disk.free_bytes());
  }
  if (free < request.bytes_min + request.keep_free) {
    return fail(Code::no_space, "cannot prepare a log segment of " +
                                    std::to_string(request.bytes_min) +
                                    " bytes: " + std::to_string(free) + " are free, " +
                                    std::to_string(request.keep_free) + " are kept");
  }
  const uint64_t room = (free - request.keep_free) / kSectorBytes * kSectorBytes;
  if (room < request.bytes) PROBE("wal: the next segment is smaller for want of space");
  request.bytes = std::min(request.bytes, room);
  const std::string path = temporary_path(request.number);
  TRY_ASSIGN(const bool stale, disk.exists(path));
  if (stale) TRY(disk.remove(path));
  TRY_ASSIGN(auto file, disk.open(path, env::OpenMode::create));
  auto allocated = file->allocate(request.bytes);
  if (!allocated) {
    (void)disk.remove(path);
    return fail(std::move(allocated).error());
  }
  return file;
}

Result<void> write_zeros(env::File& file, uint64_t at, uint64_t bytes) {
  const std::string zeros(static_cast<size_t>(bytes), '\0');
  TRY(file.write_at(at, zeros));
  return file.sync();
}

}  // namespace

void Preparer::start(const Request& request, UniqueFunction<void(Result<void>)> done) {
  CHECK(!running_);
  CHECK(ready_ == nullptr);
  CHECK(request.bytes % kSectorBytes == 0);
  CHECK(request.bytes_min % kSectorBytes == 0);
  running_ = true;
  done_ = std::move(done);
  auto work = std::make_shared<Work>();
  work->request = request;
  step(std::move(work));
}

/// One job: the creation, or one MiB, or the name.
void Preparer::step(std::shared_ptr<Work> work) {
  auto job = [&disk = disk_, work]() -> Result<void> {
    Request& request = work->request;
    if (work->file == nullptr) {
      TRY_ASSIGN(work->file, create_file(disk, request));
      return {};
    }
    if (work->zeroed < request.bytes) {
      const uint64_t bytes = std::min<uint64_t>(kBulkSyncBytes, request.bytes - work->zeroed);
      auto written = write_zeros(*work->file, work->zeroed, bytes);
      if (!written) {
        work->file.reset();
        (void)disk.remove(temporary_path(request.number));
      }
      work->zeroed += bytes;
      return written;
    }
    TRY(disk.rename(temporary_path(request.number), segment_path(request.number)));
    TRY(disk.sync_directory("log"));
    work->zeroed = UINT64_MAX;
    return {};
  };
  lanes_.submit(env::Lane::bulk, std::move(job),
                [this, alive = std::weak_ptr<int>(alive_), work](Result<void> result) mutable {
                  if (!alive.expired()) stepped(std::move(work), std::move(result));
                });
}

void Preparer::stepped(std::shared_ptr<Work> work, Result<void> result) {
  if (result && work->zeroed != UINT64_MAX) {
    step(std::move(work));
    return;
  }
  running_ = false;
  if (result) {
    ready_ = std::make_unique<Prepared>(Prepared{.number = work->request.number,
                                                 .bytes = work->request.bytes,
                                                 .file = std::move(work->file)});
  } else {
    PROBE("wal: the next segment could not be prepared");
  }
  auto done = std::move(done_);
  done(std::move(result));
}

Preparer::Prepared Preparer::take() {
  CHECK(ready_ != nullptr);
  Prepared prepared = std::move(*ready_);
  ready_.reset();
  return prepared;
}

}  // namespace doozer::storage
