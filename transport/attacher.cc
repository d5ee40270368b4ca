#include "transport/attacher.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "transport/connection_pool.h"
#include "transport/dialler.h"
#include "transport/limits.h"

namespace doozer::transport {

class Attacher::Impl final : public ConnectionOwner {
 public:
  Impl(env::Clock& clock, env::Net& net, AttacherOptions options, AttacherEvents& events,
       const Logger& logger);
  ~Impl() override { stop(); }

  void start() { tick(); }
  void adopt(std::unique_ptr<env::Stream> stream, const std::string& first_bytes);
  void accept(env::AcceptedStream& accepted);
  void stop();
  std::vector<AttachState> states() const;

 private:
  using Kind = AttachState::Kind;
  struct Asked {
    AttachState state;
    uint64_t answered_us = 0;
    bool before_us = false;  ///< it was told to boot too and has the lower identity
  };
  Hello make_hello(const Connection& connection, const Hello* theirs) override;
  std::string forbidden(const std::string& address, bool certified) override;
  std::string_view secret() const override { return options_.secret; }
  uint64_t now_us() const override { return clock_.now_us(); }
  void on_proven(Connection& connection) override;
  void on_established(Connection& connection) override;
  void on_frame(Connection& connection, const FrameReader::Frame& frame) override;
  void on_refused(Connection& connection, const Refusal& refusal) override;
  void on_lost(Connection& connection, const Error& why) override;

  void tick();
  void note(const std::string& address, Kind kind, std::string_view why);
  void failed(const Connection& connection, Kind kind, std::string_view why);
  bool may_boot() const;
  void tell_waiting();

  // Fixed after construction.
  env::Clock& clock_;
  const AttacherOptions options_;
  AttacherEvents& events_;
  Logger logger_;

  // Volatile.
  Nonces nonces_;
  Dialler dialler_;
  ConnectionPool pool_;
  std::vector<Asked> asked_;
  std::optional<AttachAnswer> answer_;
  env::TimerId timer_ = 0;
  uint64_t tell_us_;  ///< when it says next for whom it waits
  bool over_ = false;
};

Attacher::Attacher(env::Clock& clock, env::Net& net, AttacherOptions options,
                   AttacherEvents& events, const Logger& logger)
    : impl_(std::make_unique<Impl>(clock, net, std::move(options), events, logger)) {}
Attacher::~Attacher() = default;
void Attacher::start() { impl_->start(); }
void Attacher::adopt(std::unique_ptr<env::Stream> stream, std::string first_bytes) {
  impl_->adopt(std::move(stream), first_bytes);
}
void Attacher::accept(std::unique_ptr<env::AcceptedStream> accepted) { impl_->accept(*accepted); }
void Attacher::stop() { impl_->stop(); }
std::vector<AttachState> Attacher::states() const { return impl_->states(); }

Attacher::Impl::Impl(env::Clock& clock, env::Net& net, AttacherOptions options,
                     AttacherEvents& events, const Logger& logger)
    : clock_(clock),
      options_(std::move(options)),
      events_(events),
      logger_(logger),
      nonces_(options_.secret, options_.self, Incarnation(0), options_.seed),
      dialler_(options_.seed),
      pool_(*this, net),
      tell_us_(clock.now_us() + kWaitingFirstLogUs) {
  CHECK(!options_.self.none());
  CHECK(options_.addresses.size() <= kSeedsMax);
  for (const std::string& address : options_.addresses) {
    dialler_.add_seed(address);
    Asked asked;
    asked.state.address = address;
    asked_.push_back(std::move(asked));
  }
}

void Attacher::Impl::stop() {
  over_ = true;
  if (timer_ != 0) clock_.cancel(std::exchange(timer_, 0));
  pool_.cut_all();
}

void Attacher::Impl::accept(env::AcceptedStream& accepted) {
  if (!over_) pool_.accept(accepted);
}

void Attacher::Impl::adopt(std::unique_ptr<env::Stream> stream, const std::string& first_bytes) {
  if (!over_) pool_.adopt(std::move(stream), first_bytes);
}

std::vector<AttachState> Attacher::Impl::states() const {
  std::vector<AttachState> states;
  for (const Asked& asked : asked_) states.push_back(asked.state);
  return states;
}

// Decisions fall here only, so that the owner hears nothing inside a call of a stream.
void Attacher::Impl::tick() {
  timer_ = 0;
  if (over_) return;
  const uint64_t now = now_us();
  pool_.tick();
  pool_.reap();
  if (answer_ || may_boot()) {
    stop();
    if (answer_) {
      events_.on_attach(*answer_);
    } else {
      events_.on_boot();
    }
    return;
  }
  for (Asked& asked : asked_) {
    if (asked.state.kind == Kind::holds_none && now - asked.answered_us > kAnswerFreshUs) {
      note(asked.state.address, Kind::silent, "it answers no more");
    }
  }
  for (const std::string& address : dialler_.due(now)) {
    dialler_.begin(address);
    pool_.dial(options_.dial, address, Role::ask, Identity());
  }
  if (now >= tell_us_) tell_waiting();
  timer_ = clock_.at(now + kBeatUs, [this] { tick(); });
}

bool Attacher::Impl::may_boot() const {
  return options_.boot && std::all_of(asked_.begin(), asked_.end(), [this](const Asked& asked) {
           if (asked.state.kind == Kind::ourselves) return true;
           return asked.state.kind == Kind::holds_none && !asked.before_us &&
                  now_us() - asked.answered_us <= kAnswerFreshUs;
         });
}

void Attacher::Impl::tell_waiting() {
  tell_us_ = now_us() + kWaitingLogUs;
  for (const Asked& asked : asked_) {
    if (asked.state.kind == Kind::silent || asked.state.kind == Kind::refused) {
      logger_.info("waiting_for_cluster",
                   {{"address", asked.state.address}, {"why", asked.state.why}});
    }
  }
}

void Attacher::Impl::note(const std::string& address, Kind kind, std::string_view why) {
  for (Asked& asked : asked_) {
    if (asked.state.address != address) continue;
    if (asked.state.kind != kind || asked.state.why != why) {
      logger_.debug("address_answers", {{"address", address}, {"why", why}});
    }
    asked.state.kind = kind;
    asked.state.why = why;
    asked.answered_us = now_us();
  }
}

Hello Attacher::Impl::make_hello(const Connection& connection, const Hello* theirs) {
  Hello hello;
  hello.role = theirs == nullptr ? Role::ask : theirs->role;
  hello.may_boot = options_.boot;
  hello.identity = options_.self;
  hello.life = nonces_.life();
  hello.address = options_.advertise;
  if (connection.dialled()) hello.other_address = connection.address();
  hello.nonce = nonces_.next();
  return hello;
}

std::string Attacher::Impl::forbidden(const std::string& address, bool certified) {
  return forbidden_peer({.address = address,
                         .certified = certified,
                         .certificates = options_.certificates,
                         .trusting = !options_.secret.empty() || options_.insecure_peers});
}

void Attacher::Impl::on_proven(Connection& connection) {
  const Hello& theirs = connection.theirs();
  if (connection.dialled() || theirs.role == Role::ask) {
    connection.accept();
    return;
  }
  // A member of a cluster has dialled: it is looked for at our addresses, at once.
  for (const Asked& asked : asked_) dialler_.rest(asked.state.address, 0);
  connection.refuse({RefusalCode::no_cluster, "server " + options_.self.to_string() + " at " +
                                                  options_.advertise + " has no cluster yet"});
}

void Attacher::Impl::on_established(Connection& connection) {
  if (!connection.dialled()) return;  // it has learned what it wanted, and closes
  const std::string& address = connection.address();
  const Hello& theirs = connection.theirs();
  if (theirs.identity == options_.self && theirs.life == nonces_.life()) {
    note(address, Kind::ourselves, "it is this server");
    dialler_.rest(address, now_us() + kSelfDialUs);
  } else if (theirs.cluster.none()) {
    note(address, Kind::holds_none, "it holds no cluster");
    for (Asked& asked : asked_) {
      if (asked.state.address != address) continue;
      asked.before_us = theirs.may_boot && theirs.identity < options_.self;
    }
    dialler_.rest(address, now_us() + kAskAgainUs);
  } else {
    note(address, Kind::holds, "it holds cluster " + theirs.cluster.to_string());
    if (!answer_) answer_ = AttachAnswer{theirs.cluster, theirs.identity, address};
    dialler_.rest(address, now_us() + kAskAgainUs);
  }
  connection.close();
}

void Attacher::Impl::on_frame(Connection& connection, const FrameReader::Frame& /*frame*/) {
  connection.refuse({RefusalCode::unexpected, "this server has no cluster yet"});
}

void Attacher::Impl::failed(const Connection& connection, Kind kind, std::string_view why) {
  if (over_ || !connection.dialled()) return;
  note(connection.address(), kind, why);
  dialler_.failed(connection.address(), now_us());
}

void Attacher::Impl::on_refused(Connection& connection, const Refusal& refusal) {
  failed(connection, Kind::refused, refusal.reason);
}

void Attacher::Impl::on_lost(Connection& connection, const Error& why) {
  failed(connection, why.code == Code::permission_denied ? Kind::refused : Kind::silent,
         why.message);
}

}  // namespace doozer::transport
