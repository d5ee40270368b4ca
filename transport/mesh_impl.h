// The inside of Mesh, shared by its files: mesh.cc (life and timers), mesh_links.cc (connections
// become links), mesh_rivals.cc (of one identity), mesh_ends.cc (and cease to be), mesh_routes.cc
// (link-state and routes), mesh_messages.cc (what is carried).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "transport/connection_pool.h"
#include "transport/dialler.h"
#include "transport/envelope.h"
#include "transport/limits.h"
#include "transport/link_state.h"
#include "transport/log_pace.h"
#include "transport/mesh.h"
#include "transport/peers.h"
#include "transport/reassembly.h"
#include "transport/routes.h"

namespace doozer::transport {

class Mesh::Impl final : public ConnectionOwner {
 public:
  Impl(env::Clock& clock, env::Net& net, MeshOptions options, MeshEvents& events,
       const Logger& logger);
  ~Impl() override;

  // --- mesh.cc: what Mesh does
  void start();
  void turn_end();
  void adopt(std::unique_ptr<env::Stream> stream, const std::string& first_bytes);
  void accept(env::AcceptedStream& accepted);
  void goodbye();
  void stop();
  void forget(const Identity& identity);
  void keep(std::vector<Identity> members) { members_ = std::move(members); }
  bool linked(const Identity& identity) const;
  std::vector<PeerInfo> peers();
  std::vector<KnownPeer> known() const;
  const MeshStats& stats();
  // --- mesh_messages.cc
  void send(const Identity& to, Channel channel, std::string payload);
  // --- mesh_routes.cc
  bool reachable(const Identity& identity) { return route(identity, EdgesFor::control) != nullptr; }

 private:
  // --- ConnectionOwner: mesh_links.cc
  Hello make_hello(const Connection& connection, const Hello* theirs) override;
  std::string forbidden(const std::string& address, bool certified) override;
  std::string_view secret() const override { return options_.secret; }
  uint64_t now_us() const override { return clock_.now_us(); }
  void on_proven(Connection& connection) override;
  void on_established(Connection& connection) override;
  void on_frame(Connection& connection, const FrameReader::Frame& frame) override;
  void on_refused(Connection& connection, const Refusal& refusal) override;
  void on_lost(Connection& connection, const Error& why) override;

  // --- mesh.cc
  void note_crowd(const std::string& from);
  void tick();
  void arm_tick();
  bool nobody_there() const;
  void note_rest(uint64_t us, uint64_t now);
  void check_links(uint64_t now);
  void check_link(Peer& peer, uint64_t now);
  void check_bulk(Peer& peer, uint64_t now);
  static bool bytes_stuck(const Peer& peer, uint64_t now);
  void dial_due(uint64_t now);
  void tell_changes();

  // --- mesh_links.cc
  std::optional<Refusal> admit(Connection& connection);
  static bool ordinary(const Refusal& refusal, const Connection& connection);
  void reject(Connection& connection, const Refusal& refusal);
  bool new_one_stays(const Peer& peer, const Connection& fresh) const;
  void link_control(Peer& peer, Connection& connection);
  void link_bulk(Peer& peer, Connection& connection);
  void note_answer(const Connection& connection);
  void begin_life(Peer& peer, Incarnation incarnation, uint64_t life);
  void learn(Peer& peer, const Hello& theirs);
  Peer* peer_of(const Connection& connection);
  void fatal(const std::string& message, bool rolled_back = false);

  // --- mesh_rivals.cc
  bool lives(const Peer& peer) const;
  std::optional<Refusal> contest(Peer& known, const Hello& theirs, const std::string& from);
  void note_absent(const std::string& address, const Identity& who);

  // --- mesh_ends.cc
  void unlink(Peer& peer, Connection& connection, bool planned, std::string_view why);
  void set_up(Peer& peer, bool up, std::string_view why);
  void dial(const std::string& address);
  void dial_failed(const Connection& connection, const Error& why);
  void seek_proof(Peer& peer);
  void prove_death(Peer& peer);

  // --- mesh_routes.cc
  void on_link_state(Peer& from, std::string_view body);
  void note_state(const LinkState& state);
  void pass_on(const LinkState& state, std::string_view body, const Peer* from);
  void refresh_own(bool periodic);
  void send_all_states(Peer& peer);
  const Route* route(const Identity& to, EdgesFor use);
  void update_routes();
  Peer* find_or_add(const Identity& identity);

  // --- mesh_messages.cc
  void on_beat(Peer& peer, std::string_view body);
  void send_beat(Peer& peer);
  void on_relayed(Peer& via, FrameType type, std::string_view body);
  void on_part(const Identity& from, Incarnation incarnation, std::string_view body);
  void enqueue(Outbox::Item item, EdgesFor use, const Peer* not_over);
  void enqueue_again(std::deque<Outbox::Item> items, EdgesFor use);
  void flush(Peer& peer);
  void flush_one(Connection* connection, Outbox& out, size_t unsent_max, size_t bytes_max);

  // Fixed after construction.
  env::Clock& clock_;
  const MeshOptions options_;
  MeshEvents& events_;
  Logger logger_;
  Self self_;

  // Volatile. The ledger is counted in by the peers' outboxes.
  Nonces nonces_;
  RelayLedger ledger_;
  PeerTable peers_;
  Dialler dialler_;
  ConnectionPool pool_;
  LinkStateTable states_;
  LinkState own_;
  uint64_t own_sent_us_ = 0;
  uint64_t ticked_us_ = 0;
  Reassembly reassembly_;
  std::map<Identity, Route> control_routes_;
  std::map<Identity, Route> bulk_routes_;
  MeshStats stats_;
  LogPace pace_;
  uint64_t last_message_ = 0;
  std::vector<Identity> members_;  ///< never forgotten
  env::TimerId timer_ = 0;
  bool started_ = false;
  bool stopped_ = false;
  bool leaving_ = false;        ///< goodbye was said
  bool links_dirty_ = false;    ///< our own record may have changed
  bool graph_dirty_ = true;     ///< the routes may have
  bool peers_changed_ = false;  ///< to be told
  bool known_changed_ = false;
  bool telling_ = false;
  bool checking_ = false;  ///< check_links() is posted
  bool more_to_send_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< for slices that may outlive this
};

}  // namespace doozer::transport
