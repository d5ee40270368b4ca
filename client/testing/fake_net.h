// A network in one process, for tests of the client: addresses, connections with a latency, and
// faults counted in bytes. Only dialling; the far end of a connection is an Endpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/testing/fake_clock.h"
#include "env/net.h"

namespace doozer::client {

class FakeStream;

/// The server's view of one connection.
class FakePeer {
 public:
  virtual ~FakePeer() = default;
  virtual void send(std::string bytes) = 0;
  /// Tells the client that no more comes.
  virtual void end() = 0;
  /// Resets the connection.
  virtual void reset() = 0;
};

/// Whoever answers at an address.
class FakeEndpoint {
 public:
  virtual ~FakeEndpoint() = default;
  virtual void on_open(FakePeer& peer) = 0;
  virtual void on_bytes(FakePeer& peer, std::string_view bytes) = 0;
  /// The connection is gone; `peer` dies after this call.
  virtual void on_close(FakePeer& peer) = 0;
};

class FakeNet final : public env::Net {
 public:
  explicit FakeNet(FakeClock& clock) : clock_(clock) {}

  Result<std::unique_ptr<env::Listener>> listen(const env::ListenOptions& options,
                                                env::AcceptEvents& events) override;
  std::unique_ptr<env::Stream> dial(const env::DialOptions& options,
                                    env::StreamEvents& events) override;

  /// From now on connections to `address` reach `endpoint`; null: are refused.
  void serve(const std::string& address, FakeEndpoint* endpoint);
  /// Dials of `address` are never answered.
  void swallow(const std::string& address) { swallowed_[address] = true; }
  /// Resets every open connection.
  void reset_all();
  /// Reset the connection on which the n-th byte in all (from now) is sent by a client, or by a
  /// server, before that byte arrives; 0: never. Works once.
  void cut_before_client_byte(uint64_t n) { client_bytes_left_ = n; }
  void cut_before_server_byte(uint64_t n) { server_bytes_left_ = n; }
  /// The operating system takes no bytes of clients while this is set.
  void stall_clients(bool stalled);

  /// Clients hear at most so many bytes at once; 0: all that came together.
  void fragment(size_t bytes) { fragment_bytes_ = bytes; }

  struct Dial {
    std::string address;
    uint64_t at_us;
  };
  const std::vector<Dial>& dials() const { return dials_; }
  size_t open() const;
  uint64_t client_bytes() const { return client_bytes_; }
  uint64_t server_bytes() const { return server_bytes_; }
  /// How many separate write() calls clients have made.
  uint64_t client_writes() const { return client_writes_; }

 private:
  friend class FakeStream;
  struct Pipe;
  static constexpr uint64_t kLatencyUs = 500;
  void deliver_to_server(const std::shared_ptr<Pipe>& pipe, std::string bytes);
  void deliver_to_client(const std::shared_ptr<Pipe>& pipe, std::string bytes);
  void fail(const std::shared_ptr<Pipe>& pipe, Error error);

  FakeClock& clock_;
  std::map<std::string, FakeEndpoint*> endpoints_;
  std::map<std::string, bool> swallowed_;
  std::vector<std::shared_ptr<Pipe>> pipes_;
  std::vector<Dial> dials_;
  uint64_t client_bytes_ = 0;
  uint64_t server_bytes_ = 0;
  uint64_t client_writes_ = 0;
  uint64_t client_bytes_left_ = 0;
  uint64_t server_bytes_left_ = 0;
  bool stalled_ = false;
  size_t fragment_bytes_ = 0;
};

}  // namespace doozer::client
