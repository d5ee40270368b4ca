#include "storage/snapshot_writer.h"

#include <zstd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/probe.h"
#include "storage/snapshot_format.h"

namespace doozer::storage {
namespace {

constexpr int kZstdLevel = 1;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

}  // namespace

/// The file as the bulk lane sees it; touched by its jobs alone.
class SnapshotFile {
 public:
  SnapshotFile(env::Disk& disk, Index index, bool received)
      : disk_(disk),
        path_(snapshot_path(index)),
        waiting_(received ? received_path(index) : ""),
        temporary_((received ? waiting_ : path_) + ".tmp"),
        now_(temporary_) {}

  /// Runs a step unless one before it has failed: the loop may have queued more before it heard.
  template <typename Step>
  Result<void> step(Step step) {
    if (failed_) return fail(*failed_);
    Result<void> result = step();
    if (!result) failed_ = result.error();
    return result;
  }

  Result<void> create(const SnapshotHeader& header) {
    TRY_ASSIGN(const bool stale, disk_.exists(temporary_));
    if (stale) TRY(disk_.remove(temporary_));
    TRY_ASSIGN(file_, disk_.open(temporary_, env::OpenMode::create));
    const std::string bytes = encode_snapshot_header(header);
    TRY_ASSIGN(const DecodedSnapshotHeader decoded, decode_snapshot_header(bytes));
    chain_ = decoded.crc;
    return write(bytes);
  }

  Result<void> add(std::string_view chunk) {
    if (context_ == nullptr) context_.reset(ZSTD_createCCtx());
    stored_.resize(ZSTD_compressBound(chunk.size()));
    const size_t size = ZSTD_compressCCtx(context_.get(), stored_.data(), stored_.size(),
                                          chunk.data(), chunk.size(), kZstdLevel);
    CHECK(ZSTD_isError(size) == 0);
    ++totals_.chunks;
    totals_.raw_bytes += chunk.size();
    totals_.stored_bytes += size;
    return record(SnapshotRecordKind::chunk, static_cast<uint32_t>(chunk.size()),
                  std::string_view(stored_).substr(0, size));
  }

  Result<void> finish() {
    TRY(record(SnapshotRecordKind::end, 0, encode_snapshot_end(totals_)));
    TRY(file_->sync());
    file_.reset();
    return waiting_.empty() ? Result<void>() : rename_to(waiting_);
  }

  Result<void> publish() { return rename_to(path_); }

  Result<void> remove() {
    file_.reset();
    // Under its final name it may have replaced one that counts.
    return now_ == path_ ? Result<void>() : disk_.remove(now_);
  }

  /// Read on the loop only after the last job.
  uint64_t bytes() const { return offset_; }

 private:
  Result<void> record(SnapshotRecordKind kind, uint32_t raw_bytes, std::string_view stored) {
    record_.clear();
    chain_ = append_snapshot_record(record_, kind, raw_bytes, stored, chain_);
    return write(record_);
  }

  Result<void> rename_to(const std::string& path) {
    TRY(disk_.rename(now_, path));
    now_ = path;
    return disk_.sync_directory("snap");
  }

  Result<void> write(std::string_view bytes) {
    TRY(file_->write_at(offset_, bytes));
    offset_ += bytes.size();
    unsynced_ += bytes.size();
    if (unsynced_ < kBulkSyncBytes) return {};
    unsynced_ = 0;
    return file_->sync();
  }

  env::Disk& disk_;
  const std::string path_;
  const std::string waiting_;
  const std::string temporary_;
  std::string now_;  ///< what it is called
  std::unique_ptr<env::File> file_;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context_;
  std::string stored_;
  std::string record_;
  uint64_t offset_ = 0;
  uint64_t unsynced_ = 0;
  uint32_t chain_ = 0;
  SnapshotTotals totals_;
  std::optional<Error> failed_;
};

SnapshotTask::SnapshotTask(SnapshotPlace place, const SnapshotHeader& header)
    : place_(std::move(place)),
      header_(header),
      file_(std::make_shared<SnapshotFile>(place_.disk, header.point.index, place_.received)) {}

SnapshotTask::~SnapshotTask() = default;

/// Runs `job` on the lane unless an earlier one has failed; then `then`, in any case.
void SnapshotTask::run(UniqueFunction<Result<void>()> job, UniqueFunction<void()> then) {
  if (!first_error_) {
    then();
    return;
  }
  place_.lanes.submit(
      env::Lane::bulk, std::move(job),
      [self = shared_from_this(), then = std::move(then)](Result<void> result) mutable {
        if (!result && self->first_error_) self->first_error_ = std::move(result);
        then();
      });
}

void SnapshotTask::begin() {
  run([file = file_, header = header_] { return file->step([&] { return file->create(header); }); },
      [] {});
}

void SnapshotTask::add(std::string chunk) {
  CHECK(ready());
  CHECK(chunk.size() <= kSnapshotChunkBytes);
  ++chunks_flying_;
  run([file = file_,
       chunk = std::move(chunk)] { return file->step([&] { return file->add(chunk); }); },
      [self = shared_from_this()] { --self->chunks_flying_; });
}

void SnapshotTask::finish(UniqueFunction<void(Result<void>)> done) {
  done_ = std::move(done);
  run([file = file_] { return file->step([&] { return file->finish(); }); },
      [self = shared_from_this()] {
        if (!self->first_error_) {
          self->end(self->first_error_);
          return;
        }
        self->join_log();
      });
}

void SnapshotTask::join_log() {
  place_.join_log(header_.point, [self = shared_from_this()](Result<LogFate> fate) {
    if (fate) {
      self->fate_ = *fate;
    } else {
      self->first_error_ = fail(std::move(fate).error());
    }
    self->publish();
  });
}

void SnapshotTask::publish() {
  run([file = file_] { return file->step([&] { return file->publish(); }); },
      [self = shared_from_this()] { self->end(self->first_error_); });
}

void SnapshotTask::end(Result<void> result) {
  if (result) {
    place_.published(header_, file_->bytes());
  } else if (fate_ == LogFate::discarded) {
    PROBE("snapshot: the log was discarded for one that got no name");
    place_.lost(result.error());
  } else {
    PROBE("snapshot: writing failed");
    abandon();
  }
  place_.token.reset();
  auto done = std::move(done_);
  if (done) done(std::move(result));
}

void SnapshotTask::abandon() {
  place_.token.reset();
  place_.lanes.submit(
      env::Lane::bulk, [file = file_] { return file->remove(); }, [](const Result<void>&) {});
}

namespace {

class FileSnapshotWriter final : public SnapshotWriter {
 public:
  explicit FileSnapshotWriter(std::shared_ptr<SnapshotTask> task) : task_(std::move(task)) {}
  FileSnapshotWriter(const FileSnapshotWriter&) = delete;
  FileSnapshotWriter& operator=(const FileSnapshotWriter&) = delete;
  ~FileSnapshotWriter() override {
    if (!finished_) task_->abandon();
  }
  void add(std::string chunk) override {
    CHECK(!finished_);
    task_->add(std::move(chunk));
  }
  bool ready() const override { return task_->ready(); }
  void finish(UniqueFunction<void(Result<void>)> done) override {
    CHECK(!finished_);
    finished_ = true;
    task_->finish(std::move(done));
  }

 private:
  std::shared_ptr<SnapshotTask> task_;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<SnapshotWriter> make_snapshot_writer(SnapshotPlace place,
                                                     const SnapshotHeader& header) {
  auto task = std::make_shared<SnapshotTask>(std::move(place), header);
  task->begin();
  return std::make_unique<FileSnapshotWriter>(std::move(task));
}

}  // namespace doozer::storage
