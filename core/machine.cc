// Machine: decodes a command, runs its procedure, and lets history, watches and digests know.
#include "core/machine.h"

#include <utility>

#include "base/bytes.h"
#include "core/cursors.h"
#include "core/digest.h"
#include "core/image.h"
#include "core/procedures.h"
#include "core/state.h"
#include "core/watch_registry.h"

namespace doozer::core {

namespace {

/// So many expired events are freed for each new one, at least: the history cannot lag behind.
constexpr size_t kTrimPerEvent = 2;

class MachineImpl final : public Machine {
 public:
  explicit MachineImpl(const MachineOptions& options)
      : state_(options), watches_(state_, options.match_work) {
    CHECK(options.history_revisions >= 1);
  }

  Result<Applied> apply(Index index, std::string_view command) override;
  void apply_internal(Index index) override;
  Index applied() const override { return state_.applied; }

  Revision revision() const override { return state_.revision; }
  Revision oldest() const override { return state_.history.oldest(); }
  Result<void> check_kept(Revision at) const override;

  Found find(std::string_view path, std::optional<Revision> at) const override;
  std::unique_ptr<WalkCursor> walk(std::shared_ptr<const Glob> glob,
                                   std::optional<Revision> at) const override {
    return make_walk_cursor(state_, std::move(glob), at);
  }
  std::unique_ptr<ListCursor> list(std::string_view directory,
                                   std::optional<Revision> at) const override {
    return make_list_cursor(state_, directory, at);
  }

  const Register& members() const override { return state_.members; }
  std::vector<SlotView> slots() const override;

  Watches& watches() override { return watches_; }

  bool run(Budget& budget) override {
    const bool searching = watches_.run(budget);
    return state_.history.trim(budget) || searching;
  }
  bool release(Budget& budget) override {
    return state_.history.release(budget) || state_.tree.release(budget);
  }

  Digests digests() const override {
    return {.index = state_.applied,
            .revision = state_.revision,
            .chain = state_.chain,
            .state = state_digest(state_)};
  }
  MachineStats stats() const override;
  uint64_t cluster_time_us() const override { return state_.cluster_time_us; }
  uint32_t cluster_version() const override { return state_.cluster_version; }

  std::unique_ptr<ImageWriter> write_image() override { return make_image_writer(state_); }
  std::unique_ptr<ImageReader> read_image() override { return make_image_reader(state_); }

 private:
  Applied execute(const CommandView& command);
  void link(Index index, std::string_view command, const Applied& applied);

  State state_;
  WatchRegistry watches_;
  std::vector<Change> changes_;  // scratch
};

/// A client's raise_version is refused, and stops nobody.
Result<void> check_known(const CommandView& command) {
  const auto* raise = std::get_if<RaiseVersionView>(&command.body);
  if (raise != nullptr && command.envelope.principal == kSystemPrincipal &&
      raise->version > kClusterVersion) {
    return fail(Code::unsupported,
                "command: the cluster's version is raised to " + std::to_string(raise->version) +
                    ", this build knows it up to " + std::to_string(kClusterVersion) +
                    ": a newer doozerd is needed");
  }
  return {};
}

Result<Applied> MachineImpl::apply(Index index, std::string_view command) {
  CHECK(index == state_.applied + 1);
  TRY_ASSIGN(const CommandView decoded, decode_command(command));
  TRY(check_known(decoded));
  const Envelope& envelope = decoded.envelope;
  const Applied* before = envelope.client.empty()
                              ? nullptr
                              : state_.clients.remembered(envelope.client, envelope.sequence);
  Applied applied = before != nullptr ? *before : execute(decoded);
  if (!envelope.client.empty() && before == nullptr) {
    state_.clients.remember(envelope.client,
                            {.sequence = envelope.sequence, .used = index, .result = applied});
  }
  link(index, command, applied);
  return applied;
}

/// Runs a command that was not applied before.
Applied MachineImpl::execute(const CommandView& command) {
  state_.cluster_time_us = std::max(state_.cluster_time_us, command.envelope.cluster_time_us);
  changes_.clear();
  Applied applied;
  Result<void> done = run_procedure(state_, command, changes_);
  if (!done) {
    CHECK(changes_.empty());
    applied.refused = std::move(done).error();
  } else if (!changes_.empty()) {
    const uint64_t first = state_.history.end();
    ++state_.revision;
    state_.history.add(state_.revision, changes_);
    watches_.on_applied(first);
    state_.history.trim(changes_.size() * kTrimPerEvent);
    applied.changed = true;
  }
  applied.revision = state_.revision;
  return applied;
}

void MachineImpl::link(Index index, std::string_view command, const Applied& applied) {
  const uint8_t refused =
      applied.refused ? static_cast<uint8_t>(static_cast<uint8_t>(applied.refused->code) + 1) : 0;
  state_.chain = chain_digest(state_.chain, {.index = index,
                                             .command = command,
                                             .revision = applied.revision,
                                             .changed = applied.changed,
                                             .refused = refused});
  state_.applied = index;
}

void MachineImpl::apply_internal(Index index) {
  CHECK(index == state_.applied + 1);
  state_.chain =
      chain_digest(state_.chain, {.index = index, .internal = true, .revision = state_.revision});
  state_.applied = index;
}

Result<void> MachineImpl::check_kept(Revision at) const {
  at = std::max(at, Revision(1));
  if (at < oldest()) {
    return fail(Code::too_late, "revision " + std::to_string(at.value()) +
                                    " is no longer kept, the oldest is " +
                                    std::to_string(oldest().value()));
  }
  return {};
}

Found MachineImpl::find(std::string_view path, std::optional<Revision> at) const {
  Found found;
  const Node* node = state_.tree.find(path);
  if (node == nullptr) {
    return found;
  }
  const Revision when = std::max(at.value_or(state_.revision), Revision(1));
  const Version* version = at ? state_.tree.version_at(*node, when) : node->file();
  if (version != nullptr) {
    found.kind = Found::Kind::file;
    found.file = view_of(*node, *version);
    return found;
  }
  if (const Directory* directory = node->directory(); directory != nullptr) {
    found.entries = at ? directory->count_at(when) : directory->count();
    if (found.entries > 0 || node == &state_.tree.root()) {
      found.kind = Found::Kind::directory;
    }
  }
  return found;
}

std::vector<SlotView> MachineImpl::slots() const {
  std::vector<SlotView> slots;
  for (const auto& [name, node] : state_.tree.slots()) {
    const Version& file = *node->file();
    slots.push_back({.path = node->key(), .revision = file.modified, .value = file.value()});
  }
  return slots;
}

MachineStats MachineImpl::stats() const {
  const TreeTotals& totals = state_.tree.totals();
  return {.files = totals.files,
          .directories = totals.directories,
          .live_bytes = totals.live_bytes,
          .history_events = state_.history.event_count(),
          .history_bytes = state_.history.bytes(),
          .waits = watches_.count()};
}

}  // namespace

std::unique_ptr<Machine> Machine::make(const MachineOptions& options) {
  return std::make_unique<MachineImpl>(options);
}

}  // namespace doozer::core
