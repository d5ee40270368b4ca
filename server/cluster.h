// One server's part in its cluster: joins the replica with the mesh, exchanges snapshots, tells and
// hears how servers are, and, while it leads, keeps the members in order (design sections 6, 7).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/types.h"
#include "core/machine.h"
#include "door/door.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/net.h"
#include "server/digest_judge.h"
#include "server/reconcile.h"
#include "server/replica.h"
#include "server/snapshot_fetch.h"
#include "server/snapshot_source.h"
#include "server/snapshotter.h"
#include "storage/storage.h"
#include "transport/mesh.h"

namespace doozer::server {

struct ClusterOptions {
  transport::MeshOptions mesh;  ///< identities, incarnation and known peers are filled in
  core::MachineOptions machine;
  SnapshotPolicy snapshots;
  uint64_t timeout_us = 60'000'000;
  bool never_lead = false;
  uint64_t trust_log = 0;  ///< as Config's
  uint64_t digest_every = kDigestEveryIndexes;
  uint64_t seed = 0;
  raft::Retention retention;
  ReplicaObserver* observer = nullptr;
};

class ClusterHost {
 public:
  virtual ~ClusterHost() = default;
  /// This server must stop.
  virtual void on_cluster_fatal(const Error& error) = 0;
  /// The machine is about to be another one: nobody may hold anything of the old.
  virtual void on_machine_leaving() = 0;
  /// Whether clients may be served changed (quarantine).
  virtual void on_trusted_changed() = 0;
};

struct ClusterParts {
  env::Clock& clock;
  env::Disk& disk;
  env::Lanes& lanes;
  env::Net& net;
  storage::Storage& storage;
};

class Cluster final : private ReplicaHost,
                      private transport::MeshEvents,
                      private door::WriteCompletion {
 public:
  /// Rebuilds the machine from what the storage holds; blocking.
  /// Errors: as rebuild_machine().
  static Result<std::unique_ptr<Cluster>> open(const ClusterParts& parts, ClusterOptions options,
                                               ClusterHost& host, const Logger& logger);
  ~Cluster() override;
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  /// Begins to dial, to listen and to take part.
  void start();
  /// A connection of another server.
  void adopt(std::unique_ptr<env::Stream> stream, std::string first_bytes);
  /// The end of a turn, before clients' answers are sent; true if it wants another turn at once.
  bool turn_end();
  /// After everything that may send: one write for each connection to another server.
  void send() { mesh_->turn_end(); }
  /// The beginning of a graceful stop: hands leadership over, takes no further snapshot.
  void begin_stop();
  /// The end of it: tells the others that this close is planned.
  void goodbye() { mesh_->goodbye(); }
  void stop();

  Replica& replica() { return *replica_; }
  const Replica& replica() const { return *replica_; }
  const Snapshotter& snapshotter() const { return *snapshotter_; }
  const transport::Mesh& mesh() const { return *mesh_; }
  /// False: this server's state differs from a majority's; it serves no client.
  bool trusted() const { return !quarantined_; }
  /// True for a cluster of one that nobody joins.
  bool alone() const;

  struct ServerStatus {
    ServerFact fact;
    transport::PeerInfo peer;
    Index match;
    std::string address;
    bool voter = false;
    bool self = false;
    std::optional<Health> health;  ///< what it told this leader last
    uint64_t health_age_us = 0;
  };
  /// What this server knows of all, itself included; match, health and silence of others only while
  /// it leads.
  std::vector<ServerStatus> servers() const;
  std::vector<SlotFact> slots() const;
  /// Its disk takes deletions only.
  bool full() const { return full_; }
  uint64_t fetches() const { return fetches_; }
  uint64_t quarantines() const { return quarantines_; }

 private:
  struct Report {
    Health health;
    uint64_t at_us = 0;
  };
  Cluster(const ClusterParts& parts, ClusterOptions options, ClusterHost& host,
          const Logger& logger);
  Result<void> build();
  transport::MeshOptions mesh_options();
  Result<std::vector<transport::KnownPeer>> read_known();
  void write_known();
  void add_registered(std::vector<transport::KnownPeer>& known) const;

  // ReplicaHost
  void post(const Identity& to, bool bulk, std::string payload) override;
  void on_fatal(const Error& error, bool rolled_back) override;  // MeshEvents' too
  void on_cluster_changed() override;
  void on_fetch_snapshot(const raft::FetchSnapshot& wanted) override;
  void on_snapshot_wanted() override;
  void on_digest(const core::Digests& digests) override;
  // MeshEvents.
  void on_message(const Identity& from, Incarnation incarnation, transport::Channel channel,
                  std::string_view payload) override;
  void on_gone(const Identity& identity, Incarnation incarnation) override;
  void on_peers_changed() override;
  void on_known_changed() override;
  // Its own commands.
  void on_written(uint64_t cookie, const door::WriteOutcome& outcome) override;

  // cluster_care.cc: what is looked at every kHealthEveryUs.
  void arm_care();
  void care();
  Health health() const;
  void report_health();
  void mind_disk();
  void register_self();
  void lead();
  void judge_digests();
  void mind_full_disks();
  void raise_version();
  void reconcile();
  void carry_out(const MembershipStep& step);
  MembershipFacts facts() const;
  ServerFact fact_of(const Identity& identity, uint64_t now_us) const;
  std::vector<Identity> known_servers() const;
  void update_standbys();
  void update_leadable();
  void on_health(const Identity& from, const Health& health);
  void on_quarantine(const Identity& from, const Quarantine& quarantine);
  void enter_quarantine(const Identity& source, const DigestAt& majority);
  void fetch_state(const Identity& source);
  std::vector<Identity> reachable_others() const;
  void mind_quarantine();
  void submit_own(const core::BodyView& body, uint64_t cookie);

  // cluster_wait.cc
  raft::LogTrust judged_trust();
  std::string unreachable_voters() const;
  void mind_leader();

  // cluster.cc: snapshots of others.
  bool begin_install(const raft::SnapshotPoint& point);
  void installed(std::unique_ptr<core::Machine> machine, const raft::SnapshotPoint& point);

  // Fixed after construction.
  ClusterParts parts_;
  ClusterOptions options_;
  ClusterHost& host_;
  Logger logger_;
  Identity self_;
  std::unique_ptr<transport::Mesh> mesh_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<Snapshotter> snapshotter_;
  std::unique_ptr<SnapshotSource> source_;
  std::unique_ptr<SnapshotFetch> fetch_;

  // Volatile.
  bool started_ = false;
  bool stopping_ = false;
  std::deque<DigestAt> digests_;  ///< our own, the newest kDigestsKept
  DigestJudge judge_;
  std::map<Identity, Report> reports_;  ///< what servers told this leader
  bool quarantined_ = false;
  Index wrong_at_;  ///< quarantined: our state is known to be wrong here
  /// Quarantined: the state was fetched, and is trusted once it has come to where we were; 0: not.
  Index trusted_from_;
  bool state_only_ = false;  ///< the snapshot being fetched replaces the state, not the log
  bool split_ = false;       ///< no majority agrees on a digest
  bool full_ = false;
  uint64_t slow_until_us_ = 0;
  bool leadable_ = true;
  bool last_resort_ = false;
  std::vector<Identity> standbys_;
  env::TimerId care_timer_ = 0;
  uint64_t cared_us_ = 0;
  uint64_t told_forsaken_us_ = 0;  ///< when nobody's leading was told last; 0: not since a leader
  bool registering_ = false;
  bool raising_ = false;
  bool reconciling_ = false;  ///< a command of the reconciler is on its way
  uint64_t reconciled_us_ = 0;
  bool writing_known_ = false;
  bool known_changed_ = false;
  uint64_t fetches_ = 0;
  uint64_t quarantines_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace doozer::server
