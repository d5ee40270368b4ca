#include "sim/storage_harness.h"

#include <algorithm>

#include "base/check.h"
#include "core/command.h"

namespace doozer::sim {
namespace {

constexpr size_t kPaths = 40;
constexpr int64_t kClobber = -1;

Identity identity_of(uint8_t byte) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes.fill(byte);
  return Identity(bytes);
}

const storage::Ownership kOwner{.cluster = identity_of(0xC1), .identity = identity_of(0x1D)};

raft::Configuration one_voter() { return {.voters = {kOwner.identity}, .old_voters = {}}; }

std::string encode(const core::BodyView& body) {
  std::string bytes;
  core::encode_command({.envelope = {}, .body = body}, bytes);
  return bytes;
}

core::MachineOptions machine_options() { return {.history_revisions = 1'000}; }

/// Applies one entry to a machine as a replica does.
Result<void> apply(core::Machine& machine, const raft::Entry& entry) {
  if (entry.kind == raft::EntryKind::command) {
    TRY(machine.apply(entry.index, entry.payload));
  } else {
    machine.apply_internal(entry.index);
  }
  return {};
}

}  // namespace

storage::StorageOptions crash_test_options() {
  return {.segment_bytes = kSegmentBytesMin, .disk_reserve_bytes = 64 * kKiB};
}

// --- The model

void LogState::apply(const LogStep& step) {
  switch (step.kind) {
    case LogStep::Kind::append:
      CHECK(step.entry.index == last_index() + 1);
      entries.push_back(step.entry);
      return;
    case LogStep::Kind::truncate:
      CHECK(step.from.value() > 0);
      entries.resize(std::min<size_t>(entries.size(), step.from.value() - 1));
      return;
    case LogStep::Kind::hard_state: hard_state = step.hard_state; return;
  }
  UNREACHABLE();
}

LogState LogModel::state_after(size_t count) const {
  LogState state;
  for (size_t i = 0; i < count; ++i) state.apply(*steps[i]);
  return state;
}

// --- A boot

Session::Session(SimDisk& disk, LogModel& model, uint64_t seed)
    : disk_(disk),
      model_(model),
      rng_(seed),
      lanes_(clock_, &disk, {.seed = seed, .job_jitter_us = 200}) {}

Session::~Session() = default;

void Session::complain(std::string what) {
  if (complaint_.empty()) complaint_ = std::move(what);
}

Result<std::unique_ptr<Session>> Session::start(SimDisk& disk, LogModel& model, uint64_t seed) {
  std::unique_ptr<Session> session(new Session(disk, model, seed));
  TRY(session->open());
  return session;
}

Result<void> Session::open() {
  TRY(disk_.lock("lock"));
  TRY_ASSIGN(const storage::DirectoryReport report, storage::inspect_directory(disk_));
  switch (report.state) {
    case storage::DirectoryState::empty:
      if (model_.created) {
        return fail(Code::corrupt, "the directory is empty though it was created");
      }
      TRY(storage::Storage::create(disk_, kOwner, one_voter(), crash_test_options()));
      note_created();
      break;
    case storage::DirectoryState::broken: return fail(Code::corrupt, report.detail);
    case storage::DirectoryState::initialized: break;
  }
  const Logger logger(sink_, context_, LogLevel::error);
  TRY_ASSIGN(storage_, storage::Storage::open(disk_, lanes_, clock_, logger, crash_test_options()));
  note_created();
  storage_->on_persisted([this](Result<uint64_t> tag) { persisted(std::move(tag)); });
  return examine();
}

/// Only what create() or open() told as done is durable: a first boot that died in between may
/// leave a directory that looks made and is gone at the next crash.
void Session::note_created() {
  if (model_.created) return;
  model_.created = true;
  model_.add({.kind = LogStep::Kind::append,
              .entry = {.index = Index(1),
                        .term = Term(1),
                        .kind = raft::EntryKind::configuration,
                        .payload = raft::encode_configuration(one_voter())}});
  model_.add({.kind = LogStep::Kind::hard_state,
              .hard_state = {.term = Term(1), .vote = {}, .commit = {}}});
  model_.durable = 2;
}

void Session::persisted(Result<uint64_t> tag) {
  if (dead_) complain("the log spoke after it had died");
  if (!tag) {
    dead_ = tag.error();
    return;
  }
  if (*tag <= persisted_) complain("tags do not rise");
  persisted_ = *tag;
  const auto found = steps_at_tag_.find(*tag);
  if (found == steps_at_tag_.end()) {
    complain("a tag that was never given");
    return;
  }
  model_.durable = std::max(model_.durable, found->second);
}

// --- What was recovered

Result<void> Session::examine() {
  const storage::Recovered& found = recovered();
  if (found.incarnation <= model_.incarnation) {
    complain("incarnation " + std::to_string(found.incarnation.value()) + " is not above " +
             std::to_string(model_.incarnation.value()));
  }
  model_.incarnation = std::max(model_.incarnation, found.incarnation);
  if (found.owner.cluster != kOwner.cluster || found.owner.identity != kOwner.identity) {
    complain("another owner");
  }
  if (found.configuration != one_voter()) complain("another configuration");
  TRY(examine_log());
  if (complaint_.empty()) TRY(examine_snapshots());
  return {};
}

Result<void> Session::examine_log() {
  const storage::Recovered& found = recovered();
  std::vector<raft::Entry> entries;
  if (found.last_index >= found.first_index) {
    TRY(storage_->replay(found.first_index, found.last_index,
                         [&](raft::Entry entry) -> Result<void> {
                           entries.push_back(std::move(entry));
                           return {};
                         }));
  }
  if (found.first_index + entries.size() != found.last_index + 1) complain("entries are missing");

  const auto same = [&](const LogState& state) {
    if (state.last_index() != found.last_index || state.last_term() != found.last_term) {
      return false;
    }
    if (state.hard_state.term != found.hard_state.term ||
        state.hard_state.vote != found.hard_state.vote) {
      return false;
    }
    return std::equal(entries.begin(), entries.end(),
                      state.entries.end() - static_cast<ptrdiff_t>(entries.size()));
  };
  LogState state = model_.state_after(model_.durable);
  std::string wanted = "last index " + std::to_string(state.last_index().value()) + " hard term " +
                       std::to_string(state.hard_state.term.value());
  size_t count = model_.durable;
  while (entries.size() > state.entries.size() || !same(state)) {
    if (count == model_.steps.size()) {
      complain("recovered last index " + std::to_string(found.last_index.value()) + " term " +
               std::to_string(found.last_term.value()) + " hard term " +
               std::to_string(found.hard_state.term.value()) +
               ": no state from the acknowledged one (" + wanted + ") on");
      return {};
    }
    state.apply(*model_.steps[count++]);
  }
  if (found.hard_state.commit > found.last_index) complain("commit is above the log");
  // What survived counts from now on; what did not was never acknowledged and never comes back.
  model_.steps.resize(count);
  model_.durable = count;
  last_ = state.last_index();
  term_ = std::max(state.hard_state.term, state.last_term());
  hard_state_ = state.hard_state;
  if (last_ < model_.committed) complain("a committed entry is missing");
  return {};
}

Result<std::unique_ptr<core::Machine>> load_snapshot(storage::Storage& storage, Index index) {
  TRY_ASSIGN(const auto reader, storage.read_snapshot(index));
  auto machine = core::Machine::make(machine_options());
  const auto image = machine->read_image();
  for (;;) {
    TRY_ASSIGN(const auto chunk, reader->next());
    if (!chunk) break;
    TRY(image->add(*chunk));
  }
  TRY(image->finish());
  const storage::SnapshotHeader& header = reader->header();
  const core::Digests digests = machine->digests();
  if (digests.index != header.point.index || digests.revision != header.revision ||
      digests.chain != header.chain_digest || digests.state != header.state_digest) {
    return fail(Code::corrupt, "the image does not have the digests of its header");
  }
  return machine;
}

Result<void> Session::examine_snapshots() {
  const storage::Recovered& found = recovered();
  std::set<Index> listed;
  for (const storage::SnapshotHeader& header : storage_->snapshots()) {
    const Index index = header.point.index;
    listed.insert(index);
    if (index > model_.committed) {
      complain("a snapshot of what was never committed");
      return {};
    }
    auto loaded = load_snapshot(*storage_, index);
    if (!loaded) {
      if (loaded.error().code == Code::closed) return fail(std::move(loaded).error());
      complain("snapshot " + std::to_string(index.value()) + ": " + loaded.error().message);
      return {};
    }
    if ((*loaded)->digests() != model_.digests[index.value()]) complain("snapshot: other digests");
    machine_ = std::move(*loaded);
  }
  for (const Index index : model_.snapshots) {
    if (!listed.contains(index)) {
      complain("snapshot " + std::to_string(index.value()) + " is missing");
    }
  }
  if (!machine_) machine_ = core::Machine::make(machine_options());
  if (found.first_index > machine_->applied() + 1) complain("a gap between snapshot and log");
  if (!complaint_.empty()) return {};
  // Replay to where the model stands, and compare; then take what is above too: a cluster of one
  // commits all that is durable.
  const auto replay = [this](Index last) -> Result<void> {
    if (machine_->applied() >= last) return {};
    return storage_->replay(machine_->applied() + 1, last,
                            [this](raft::Entry entry) { return apply(*machine_, entry); });
  };
  TRY(replay(model_.committed));
  if (machine_->digests() != model_.digests[model_.committed.value()]) complain("other digests");
  if (machine_->revision().value() != model_.revision) complain("another revision");
  for (const auto& [path, file] : model_.tree) {
    const core::Found at = machine_->find(path, std::nullopt);
    if (at.kind != core::Found::Kind::file || at.file.value != file.first ||
        at.file.revision.value() != file.second) {
      complain("file " + path + " is another");
    }
  }
  if (machine_->stats().files != model_.tree.size()) complain("more files than there should be");
  commit_all();
  storage_->settle_doubt();  // a cluster of one decides so by itself; it goes with the next flush
  return {};
}

// --- Steps

void Session::append(raft::EntryKind kind, std::string payload) {
  if (dead()) return;
  ++last_;
  raft::Entry entry{.index = last_, .term = term_, .kind = kind, .payload = std::move(payload)};
  storage_->append(entry);
  model_.add({.kind = LogStep::Kind::append, .entry = std::move(entry)});
}

std::string Session::draw_path() {
  std::string path = "/d" + std::to_string(rng_.below(4));
  return path + "/f" + std::to_string(rng_.below(kPaths));
}

void Session::append_set(size_t value_bytes) {
  std::string value(value_bytes, '\0');
  for (char& byte : value) byte = static_cast<char>(rng_.next());
  const std::string path = draw_path();
  append(raft::EntryKind::command,
         encode(core::SetView{.path = path, .revision = kClobber, .value = value}));
}

void Session::append_del() {
  const std::string path = draw_path();
  append(raft::EntryKind::command, encode(core::DelView{.path = path, .revision = kClobber}));
}

void Session::append_noop() { append(raft::EntryKind::noop, {}); }

void Session::truncate_from(Index index) {
  if (dead()) return;
  CHECK(index > model_.committed);
  storage_->truncate_from(index);
  model_.add({.kind = LogStep::Kind::truncate, .from = index});
  last_ = std::min(last_, index - 1);
}

void Session::new_term() {
  if (dead()) return;
  term_ = term_ + 1;
  hard_state_ = {.term = term_, .vote = kOwner.identity, .commit = model_.committed};
  storage_->set_hard_state(hard_state_);
  model_.add({.kind = LogStep::Kind::hard_state, .hard_state = hard_state_});
}

void Session::flush() {
  if (dead()) return;
  steps_at_tag_[++tag_] = model_.steps.size();
  storage_->flush(tag_);
}

bool Session::run_until(const std::function<bool()>& done) {
  // Timers may go on for ever (idle markers do not, but a poll may): the bound is a bug's.
  const bool finished = clock_.run_until_done([&] { return done() || dead(); });
  if (!finished && !dead()) complain("it never ended");
  return finished && !dead();
}

bool Session::settle() {
  return run_until([this] { return persisted_ == tag_; });
}

void Session::commit_all() {
  LogState state = model_.state_after(model_.durable);
  // What a truncation on its way to the disk takes back is no longer to be committed.
  for (size_t i = model_.durable; i < model_.steps.size(); ++i) {
    if (model_.steps[i]->kind == LogStep::Kind::truncate) state.apply(*model_.steps[i]);
  }
  // The reference: a machine in memory, and the tree by a simple rule of its own.
  for (size_t i = machine_->applied().value(); i < state.entries.size(); ++i) {
    const raft::Entry& entry = state.entries[i];
    CHECK(apply(*machine_, entry).has_value());
    if (entry.index <= model_.committed) continue;
    model_.committed = entry.index;
    if (entry.kind == raft::EntryKind::command) {
      const auto command = core::decode_command(entry.payload);
      CHECK(command.has_value());
      if (const auto* set = std::get_if<core::SetView>(&command->body)) {
        model_.tree[std::string(set->path)] = {std::string(set->value), ++model_.revision};
      } else if (const auto* del = std::get_if<core::DelView>(&command->body)) {
        if (model_.tree.erase(std::string(del->path)) > 0) ++model_.revision;
      }
    }
    model_.digests.push_back(machine_->digests());
    if (machine_->revision().value() != model_.revision) complain("apply: another revision");
  }
}

bool Session::take_snapshot(Error* error) {
  if (dead()) return false;
  const auto image = machine_->write_image();
  const core::Digests digests = image->digests();
  const LogState state = model_.state_after(model_.durable);
  const storage::SnapshotHeader header{
      .cluster = kOwner.cluster,
      .identity = kOwner.identity,
      .point = {.index = digests.index,
                .term = state.entries[digests.index.value() - 1].term,
                .configuration = one_voter()},
      .cluster_version = image->cluster_version(),
      .revision = digests.revision,
      .chain_digest = digests.chain,
      .state_digest = digests.state};
  std::optional<Result<void>> finished;
  auto writer = storage_->write_snapshot(header);
  if (!writer) {
    if (error != nullptr) *error = writer.error();
    return !dead();
  }
  for (bool more = true; more;) {
    if (!run_until([&] { return (*writer)->ready(); })) return false;
    std::string chunk;
    Budget budget(1'000'000);
    const auto step = image->next(16 * kKiB, budget, chunk);
    CHECK(step.has_value());
    more = *step == core::ImageWriter::Step::more;
    if (!chunk.empty()) (*writer)->add(std::move(chunk));
  }
  (*writer)->finish([&](Result<void> result) { finished = std::move(result); });
  if (!run_until([&] { return finished.has_value(); })) return false;
  if (*finished) {
    model_.snapshots.insert(digests.index);
  } else if (error != nullptr) {
    *error = finished->error();
  }
  return !dead();
}

void Session::purge() {
  if (dead() || model_.snapshots.empty()) return;
  const Index oldest = *model_.snapshots.rbegin();
  std::erase_if(model_.snapshots, [oldest](Index index) { return index < oldest; });
  storage_->purge(oldest);
}

}  // namespace doozer::sim
