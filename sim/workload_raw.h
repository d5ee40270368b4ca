// A client that speaks the bytes of the protocol, with "tell more", and knows nothing of retries.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sim/workload_shared.h"
#include "wire/doozer.h"

namespace doozer::sim::workload {

class RawLinkEvents {
 public:
  virtual ~RawLinkEvents() = default;
  virtual void on_up() = 0;
  /// Views are borrowed for the call.
  virtual void on_answer(const wire::ResponseView& answer) = 0;
  /// The last call: refused, reset, ended or bad bytes.
  virtual void on_down() = 0;
};

/// One connection. May be destroyed from inside its events.
class RawLink final : private env::StreamEvents {
 public:
  RawLink(env::Net& net, std::string address, RawLinkEvents& events);
  ~RawLink() override { *alive_ = false; }
  /// With the next tag, which is returned.
  int32_t send(wire::RequestView request);
  void pause_reading() { stream_->pause_reading(); }
  void resume_reading() { stream_->resume_reading(); }
  const std::string& address() const { return address_; }
  bool up() const { return up_; }

 private:
  void on_connected() override;
  void on_bytes(std::string_view bytes) override;
  void on_end() override { down(); }
  void on_failed(const Error& /*error*/) override { down(); }
  void down();

  const std::string address_;
  RawLinkEvents& events_;
  std::unique_ptr<env::Stream> stream_;
  std::string in_;
  int32_t tag_ = 0;
  bool up_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class RawAccess final : public Access, public RawLinkEvents {
 public:
  /// `pinned`: the only server it speaks to; otherwise each connection goes to one drawn anew.
  RawAccess(Shared& shared, const ClientHost& host, uint64_t client, Rng rng,
            std::optional<std::string> pinned, uint64_t give_up_us);
  void perform(Request request, Done done) override;
  bool whole_listings() const override { return false; }
  /// The next operation goes over a new connection. REQUIRES that nothing is outstanding.
  void leave();
  void pause_reading();
  void resume_reading();

 private:
  struct Pending {
    size_t id = 0;
    Request request;
    Done done;
    uint64_t sent_us = 0;
  };
  void on_up() override;
  void on_answer(const wire::ResponseView& answer) override;
  void on_down() override { break_off(); }
  void connect();
  void send(Pending pending);
  void give_up(size_t id);
  /// Ends the connection and everything that hangs on it.
  void break_off();
  void finish(Pending pending, Outcome outcome);

  Shared& shared_;
  const ClientHost host_;
  const uint64_t client_;
  Rng rng_;
  const std::optional<std::string> pinned_;
  const uint64_t give_up_us_;
  std::unique_ptr<RawLink> link_;
  uint64_t session_ = 0;
  uint64_t resumed_us_ = 0;  ///< reading, the last time
  std::vector<Pending> unsent_;
  std::map<int32_t, Pending> sent_;
};

}  // namespace doozer::sim::workload
