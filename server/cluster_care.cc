// What a server looks at every kHealthEveryUs: how it is itself, and, while it leads, how the
// others are and who should be a member.
#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "core/command.h"
#include "core/membership.h"
#include "server/cluster.h"

namespace doozer::server {
namespace {

/// A log that ends so closely behind ours is caught up.
constexpr uint64_t kCaughtUpEntries = 1'024;
/// An answer of a peer is fresh for so long, and a quorum confirmed.
constexpr uint64_t kFreshUs = 1'000'000;
/// A loop that did not run for so long knows nothing of the others' silence.
constexpr uint64_t kOwnStallUs = 1'000'000;
/// A disk that was slow is given time before this server may lead again.
constexpr uint64_t kSlowDiskRestUs = 10'000'000;

enum Cookie : uint64_t { kRegister = 1, kRaise = 2, kReconcile = 3 };

}  // namespace

void Cluster::arm_care() {
  if (care_timer_ != 0 || !started_) return;
  care_timer_ = parts_.clock.at(parts_.clock.now_us() + kHealthEveryUs, [this] {
    care_timer_ = 0;
    if (started_) care();
  });
}

void Cluster::care() {
  const uint64_t now = parts_.clock.now_us();
  if (cared_us_ != 0 && now - cared_us_ > kOwnStallUs) PROBE("cluster: its own loop was stalled");
  cared_us_ = now;
  if (!alone() || full_) mind_disk();
  mind_quarantine();
  mind_leader();
  report_health();
  register_self();
  if (replica_->leading()) lead();
  update_leadable();
  // A cluster of one that nobody joins sleeps: its disk tells of itself by refusing. But what was
  // told as full while there were others has to end.
  if (!alone() || registering_ || full_) arm_care();
}

void Cluster::on_cluster_changed() {
  const raft::Core& core = replica_->core();
  logger_.info("cluster_changed",
               {{"role", core.role() == raft::Role::leader      ? "leader"
                         : core.role() == raft::Role::candidate ? "candidate"
                                                                : "follower"},
                {"leader", core.leader().none() ? std::string("-") : core.leader().to_string()},
                {"voters", core.configuration().voters.size()},
                {"joint", core.configuration().joint()}});
  if (!replica_->leading()) {
    reports_.clear();
    judge_.clear();
  }
  update_standbys();
  arm_care();
}

// --- How this server is.

Health Cluster::health() const {
  const raft::Core& core = replica_->core();
  const core::Machine& machine = replica_->machine();
  return {.term = core.term(),
          .applied = machine.applied(),
          .revision = machine.revision(),
          .full = full_,
          .quarantined = quarantined_,
          .sound = core.trust() == raft::LogTrust::sound,
          .slow = slow_until_us_ > parts_.clock.now_us(),
          .cluster_version = core::kClusterVersion,
          .digests = {digests_.begin(), digests_.end()}};
}

void Cluster::report_health() {
  const Identity& leader = replica_->core().leader();
  if (replica_->leading()) {
    on_health(self_, health());
  } else if (!leader.none()) {
    post(leader, false, encode_peer_message(health()));
  }
}

void Cluster::on_digest(const core::Digests& digests) {
  digests_.push_back({.index = digests.index, .chain = digests.chain, .state = digests.state});
  if (digests_.size() > kDigestsKept) digests_.pop_front();
}

void Cluster::mind_disk() {
  const uint64_t now = parts_.clock.now_us();
  // A follower proposes nothing: it asks for the least that could come, so that the disk is looked
  // at each second, by the bulk lane.
  (void)parts_.storage.admit(0, false);
  const bool full = parts_.storage.short_of_space();
  if (full != full_) {
    full_ = full;
    const uint64_t free = parts_.storage.stats().free_bytes;
    if (full) {
      PROBE("cluster: a disk became full");
      logger_.warn("disk_full", {{"free_bytes", free}, {"effect", "deletions only"}});
    } else {
      logger_.info("disk_has_room", {{"free_bytes", free}});
    }
  }
  const uint64_t since = replica_->waiting_for_log_since_us();
  if (since != 0 && now - since > kSlowSyncUs) {
    if (slow_until_us_ <= now) {
      PROBE("cluster: a log became slow");
      logger_.warn("slow_log", {{"ms", (now - since) / 1000}});
    }
    slow_until_us_ = now + kSlowDiskRestUs;
  }
}

void Cluster::update_leadable() {
  const bool slow = slow_until_us_ > parts_.clock.now_us();
  const bool leadable = !quarantined_ && !split_ && !full_ && !slow && !stopping_;
  const bool last_resort = !quarantined_ && !split_;
  if (leadable == leadable_ && last_resort == last_resort_) return;
  leadable_ = leadable;
  last_resort_ = last_resort;
  replica_->set_leadable(leadable, last_resort);
}

// Every server is in the register, as what it is now, before it can be given a slot.
void Cluster::register_self() {
  if (registering_ || stopping_ || replica_->core().leader().none()) return;
  const core::Machine& machine = replica_->machine();
  const core::Member* const member = machine.members().find(self_);
  const Incarnation incarnation = parts_.storage.recovered().incarnation;
  const std::string_view address =
      std::string_view(options_.mesh.advertise).substr(0, core::kMemberAddressBytesMax);
  if (member != nullptr && member->incarnation == incarnation && member->address == address &&
      member->cluster_version == core::kClusterVersion) {
    return;
  }
  registering_ = true;
  submit_own(core::AttachView{.identity = self_,
                              .incarnation = incarnation,
                              .cluster_version = core::kClusterVersion,
                              .address = address},
             kRegister);
}

void Cluster::submit_own(const core::BodyView& body, uint64_t cookie) {
  replica_->submit(body, core::kSystemPrincipal, *this, cookie);
  parts_.clock.post([] {});
}

void Cluster::on_written(uint64_t cookie, const door::WriteOutcome& outcome) {
  const bool done =
      outcome.kind == door::WriteOutcome::Kind::applied && !outcome.applied.refused.has_value();
  switch (static_cast<Cookie>(cookie)) {
    case kRegister: registering_ = false; break;
    case kRaise: raising_ = false; break;
    case kReconcile:
      reconciling_ = false;
      if (!done) {
        PROBE("cluster: the slots were not as the leader thought");
        logger_.info(
            "slots_not_written",
            {{"why", outcome.applied.refused ? std::string_view(outcome.applied.refused->message)
                                             : std::string_view(outcome.error.message)}});
      }
      break;
  }
}

// --- What the leader minds.

void Cluster::lead() {
  mind_full_disks();
  judge_digests();
  raise_version();
  reconcile();
}

void Cluster::on_health(const Identity& from, const Health& health) {
  if (!replica_->leading() || health.term > replica_->core().term()) return;
  reports_[from] = {.health = health, .at_us = parts_.clock.now_us()};
  judge_.report(from, health.digests);
  mind_full_disks();
}

// Without a majority that is in reach and has room, what a SET makes the others store could not be
// stored for long. Whoever has not told yet has room: a new leader refuses nothing on suspicion.
void Cluster::mind_full_disks() {
  const raft::Configuration& configuration = replica_->core().configuration();
  const auto lacks_room = [this](const std::vector<Identity>& voters) {
    size_t full = 0;
    size_t with_room = 0;
    for (const Identity& voter : voters) {
      const auto report = reports_.find(voter);
      const bool says_full = report != reports_.end() && report->second.health.full;
      const bool there = voter == self_ || mesh_->reachable(voter);
      full += says_full ? 1 : 0;
      with_room += there && !says_full ? 1 : 0;
    }
    return full > 0 && with_room <= voters.size() / 2;
  };
  replica_->set_cluster_full(lacks_room(configuration.voters) ||
                             lacks_room(configuration.old_voters));
}

void Cluster::judge_digests() {
  const std::vector<Identity>& voters = replica_->core().configuration().voters;
  if (const auto at = judge_.split(voters)) {
    if (!split_) {
      PROBE("cluster: no majority agrees on the state");
      logger_.error("digests_disagree", {{"index", *at}, {"effect", "writes stop"}});
    }
    split_ = true;
    update_leadable();
    replica_->step_down();
    return;
  }
  for (const DigestJudge::Verdict& verdict : judge_.judge(voters)) {
    if (verdict.server != self_) {
      const auto report = reports_.find(verdict.server);
      if (report != reports_.end() && report->second.health.quarantined) continue;
      post(verdict.server, false,
           encode_peer_message(
               Quarantine{.term = replica_->core().term(), .majority = verdict.majority}));
      continue;
    }
    // The leader itself is in the minority: whoever is not may lead, and give it the state.
    const auto other = std::find_if(voters.begin(), voters.end(), [&](const Identity& voter) {
      return voter != self_ && mesh_->reachable(voter);
    });
    if (other == voters.end()) continue;
    enter_quarantine(*other, verdict.majority);
    replica_->step_down();
    return;
  }
}

void Cluster::on_quarantine(const Identity& from, const Quarantine& quarantine) {
  if (from != replica_->core().leader() || quarantine.term != replica_->core().term()) return;
  enter_quarantine(from, quarantine.majority);
}

// Believed only if our own digest at that index is indeed another: what was fetched meanwhile is
// not thrown away for an old verdict.
void Cluster::enter_quarantine(const Identity& source, const DigestAt& majority) {
  const auto own = std::find_if(digests_.begin(), digests_.end(), [&](const DigestAt& digest) {
    return digest.index == majority.index;
  });
  if (own == digests_.end() || *own == majority) return;
  if (!quarantined_) {
    PROBE("cluster: a server quarantined itself");
    ++quarantines_;
    quarantined_ = true;
    logger_.error("quarantined", {{"index", majority.index},
                                  {"why", "its state differs from that of a majority"},
                                  {"effect", "serves no client until the state is fetched again"}});
    host_.on_trusted_changed();
    update_leadable();
  }
  wrong_at_ = std::max(wrong_at_, majority.index);
  trusted_from_ = Index();
  fetch_state(source);
}

void Cluster::fetch_state(const Identity& source) {
  if (fetch_->running() && !state_only_) return;
  state_only_ = true;
  const auto& snapshots = parts_.storage.snapshots();
  const Index newest = snapshots.empty() ? Index() : snapshots.back().point.index;
  const Index kept = replica_->core().first_kept();
  const Index least = std::max({newest + 1, kept, wrong_at_});
  fetch_->want(source, {.index = least, .term = Term()});
}

// A fetch may fail, and its source go away: whoever leads now is asked. Nobody is served before the
// state is at least as new as what was served before.
void Cluster::mind_quarantine() {
  if (!quarantined_) return;
  if (trusted_from_ == Index()) {
    const Identity& leader = replica_->core().leader();
    const bool idle = !fetch_->running() || fetch_->stalled();
    if (idle && !leader.none() && leader != self_ && !stopping_) {
      PROBE("cluster: a quarantined server asked for the state again");
      fetch_state(leader);
    }
    return;
  }
  if (replica_->machine().applied() < trusted_from_) return;
  quarantined_ = false;
  trusted_from_ = Index();
  wrong_at_ = Index();
  logger_.info("quarantine_over", {{"index", replica_->machine().applied()}});
  host_.on_trusted_changed();
  update_leadable();
}

void Cluster::raise_version() {
  if (raising_) return;
  const core::Machine& machine = replica_->machine();
  uint32_t lowest = core::kClusterVersion;
  for (const Identity& identity : known_servers()) {
    const core::Member* const member = machine.members().find(identity);
    if (member == nullptr) return;
    lowest = std::min(lowest, member->cluster_version);
  }
  if (lowest <= machine.cluster_version()) return;
  raising_ = true;
  logger_.info("cluster_version_raised", {{"version", lowest}});
  submit_own(core::RaiseVersionView{.version = lowest}, kRaise);
}

// --- Members.

std::vector<Identity> Cluster::known_servers() const {
  std::set<Identity> all;
  for (const Identity& voter : raft::all_voters(replica_->core().configuration())) {
    all.insert(voter);
  }
  for (const transport::PeerInfo& peer : mesh_->peers()) {
    if (peer.up) all.insert(peer.identity);
  }
  all.insert(self_);
  return {all.begin(), all.end()};
}

void Cluster::update_standbys() {
  std::vector<Identity> standbys;
  const std::vector<Identity> voters = raft::all_voters(replica_->core().configuration());
  mesh_->keep(voters);
  for (const transport::PeerInfo& peer : mesh_->peers()) {
    if (peer.up && !std::binary_search(voters.begin(), voters.end(), peer.identity)) {
      standbys.push_back(peer.identity);
    }
  }
  if (standbys == standbys_) return;
  standbys_ = standbys;
  replica_->set_standbys(std::move(standbys));
}

ServerFact Cluster::fact_of(const Identity& identity, uint64_t now_us) const {
  const core::Machine& machine = replica_->machine();
  const core::Member* const member = machine.members().find(identity);
  ServerFact fact;
  fact.identity = identity;
  fact.compatible = member != nullptr && member->cluster_version >= machine.cluster_version();
  fact.removed = member != nullptr && member->removed;
  if (identity == self_) {
    fact.reachable = true;
    fact.caught_up = true;
    fact.sound = !quarantined_ && replica_->core().trust() == raft::LogTrust::sound;
    fact.full = full_;
    return fact;
  }
  fact.reachable = mesh_->reachable(identity);
  if (const raft::Progress* const progress = replica_->core().progress(identity)) {
    fact.silent_us = now_us - std::min(now_us, progress->silent_since_us);
    fact.willing = progress->willing;
    fact.caught_up = progress->state == raft::Progress::State::replicate &&
                     progress->answered_us != 0 && fact.silent_us < kFreshUs &&
                     progress->match + kCaughtUpEntries >= replica_->core().last_index();
  }
  const auto report = reports_.find(identity);
  if (report == reports_.end() || now_us - report->second.at_us > kFreshUs) {
    fact.sound = false;
  } else {
    fact.sound = report->second.health.sound && !report->second.health.quarantined;
    fact.full = report->second.health.full;
  }
  return fact;
}

std::vector<SlotFact> Cluster::slots() const {
  std::vector<SlotFact> slots;
  const core::Machine& machine = replica_->machine();
  for (const core::SlotView& slot : machine.slots()) {
    SlotFact fact;
    fact.path = std::string(slot.path);
    fact.revision = slot.revision.value();
    if (!slot.value.empty()) {
      auto holder = Identity::parse(slot.value);
      if (holder && machine.members().find(*holder) != nullptr) {
        fact.holder = *holder;
      } else {
        fact.garbage = true;
      }
    }
    slots.push_back(std::move(fact));
  }
  return slots;
}

MembershipFacts Cluster::facts() const {
  const uint64_t now = parts_.clock.now_us();
  const raft::Core& core = replica_->core();
  MembershipFacts facts{.self = self_,
                        .voters = core.configuration().voters,
                        .changing = core.changing() || core.transferring(),
                        .quorum_confirmed = now - core.quorum_confirmed_us() < kFreshUs,
                        .timeout_us = options_.timeout_us,
                        .slots = slots(),
                        .servers = {}};
  for (const Identity& identity : known_servers()) {
    facts.servers.push_back(fact_of(identity, now));
  }
  return facts;
}

// Slots are judged as applied: while commands of this leader are on their way it waits for them.
void Cluster::reconcile() {
  const uint64_t now = parts_.clock.now_us();
  if (reconciling_ || stopping_ || now - reconciled_us_ < kReconcileEveryUs) return;
  if (replica_->applied_term() != replica_->core().term()) return;
  reconciled_us_ = now;
  carry_out(next_membership_step(facts()));
}

void Cluster::carry_out(const MembershipStep& step) {
  if (const auto* write = std::get_if<WriteSlots>(&step)) {
    PROBE("cluster: the leader wrote slots");
    core::ReconcileView reconcile;
    for (const SlotWrite& slot : write->writes) {
      logger_.info("slot_written",
                   {{"why", write->why},
                    {"slot", slot.path},
                    {"holder", slot.holder.none() ? std::string("-") : slot.holder.to_string()}});
      reconcile.updates.push_back(
          {.path = slot.path, .revision = slot.revision, .identity = slot.holder});
    }
    reconciling_ = true;
    submit_own(reconcile, kReconcile);
  } else if (const auto* change = std::get_if<ChangeTo>(&step)) {
    auto changed = replica_->change_voters(change->voters);
    if (changed) {
      PROBE("cluster: a change of members began");
      logger_.info("members_changing", {{"voters", change->voters.size()}});
    } else {
      logger_.debug("members_not_changed", {{"why", std::string_view(changed.error().message)}});
    }
  } else if (const auto* hand_over = std::get_if<HandOverTo>(&step)) {
    PROBE("cluster: a leader without a slot handed over");
    if (auto handed = replica_->hand_over(hand_over->to); !handed) {
      logger_.debug("not_handed_over", {{"why", std::string_view(handed.error().message)}});
    }
  }
}

std::vector<Cluster::ServerStatus> Cluster::servers() const {
  const uint64_t now = parts_.clock.now_us();
  const std::vector<Identity> voters = raft::all_voters(replica_->core().configuration());
  std::map<Identity, transport::PeerInfo> peers;
  for (transport::PeerInfo& peer : mesh_->peers()) peers[peer.identity] = std::move(peer);
  std::set<Identity> all(voters.begin(), voters.end());
  all.insert(self_);
  for (const auto& [identity, peer] : peers) all.insert(identity);
  std::vector<ServerStatus> servers;
  for (const Identity& identity : all) {
    ServerStatus status;
    status.fact = fact_of(identity, now);
    status.self = identity == self_;
    status.voter = std::binary_search(voters.begin(), voters.end(), identity);
    if (const auto peer = peers.find(identity); peer != peers.end()) status.peer = peer->second;
    const core::Member* const member = replica_->machine().members().find(identity);
    status.address = member != nullptr ? member->address : status.peer.address;
    const raft::Progress* const progress = replica_->core().progress(identity);
    if (progress != nullptr) status.match = progress->match;
    if (status.self) {
      status.health = health();
    } else if (const auto report = reports_.find(identity); report != reports_.end()) {
      status.health = report->second.health;
      status.health_age_us = now - report->second.at_us;
    }
    servers.push_back(std::move(status));
  }
  return servers;
}

}  // namespace doozer::server
