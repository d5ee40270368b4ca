#include "client/testing/fake_net.h"

#include <algorithm>

#include "base/result.h"

namespace doozer::client {

/// One connection, shared by both ends and by what is in flight.
struct FakeNet::Pipe final : FakePeer {
  Pipe(FakeNet& net, env::StreamEvents& events, FakeEndpoint* endpoint)
      : net(net), events(&events), endpoint(endpoint) {}

  void send(std::string bytes) override { net.deliver_to_client(self.lock(), std::move(bytes)); }
  void end() override {
    net.clock_.at(net.clock_.now_us() + kLatencyUs, [pipe = self.lock()] {
      if (pipe->events != nullptr) pipe->events->on_end();
    });
  }
  void reset() override { net.fail(self.lock(), {Code::closed, "connection reset"}); }

  FakeNet& net;
  env::StreamEvents* events;  ///< null: the client has closed, or heard on_failed
  FakeEndpoint* endpoint;     ///< null: not connected, or the server has heard on_close
  std::weak_ptr<Pipe> self;
  bool open = false;
  std::string held;  ///< what a stalled network has not taken
};

class FakeStream final : public env::Stream {
 public:
  FakeStream(std::shared_ptr<FakeNet::Pipe> pipe, std::string peer)
      : pipe_(std::move(pipe)), peer_(std::move(peer)) {}
  ~FakeStream() override {
    pipe_->events = nullptr;
    FakeNet& net = pipe_->net;
    net.clock_.at(net.clock_.now_us() + FakeNet::kLatencyUs, [pipe = pipe_] {
      if (pipe->open && pipe->endpoint != nullptr) pipe->endpoint->on_close(*pipe);
      pipe->endpoint = nullptr;
      pipe->open = false;
    });
  }
  FakeStream(const FakeStream&) = delete;
  FakeStream& operator=(const FakeStream&) = delete;

  void write(std::string bytes) override {
    ++pipe_->net.client_writes_;
    pipe_->held += bytes;
    if (!pipe_->net.stalled_) flush();
  }
  size_t unsent() const override { return pipe_->held.size(); }
  void shutdown() override {}
  void redirect(env::StreamEvents& events) override {
    if (pipe_->events != nullptr) pipe_->events = &events;
  }
  void set_class(env::StreamClass /*stream_class*/) override {}
  void pause_reading() override {}
  void resume_reading() override {}
  const std::string& peer() const override { return peer_; }

  void flush() {
    std::string bytes = std::move(pipe_->held);
    pipe_->held.clear();
    if (!bytes.empty()) pipe_->net.deliver_to_server(pipe_, std::move(bytes));
  }

 private:
  std::shared_ptr<FakeNet::Pipe> pipe_;
  const std::string peer_;
};

Result<std::unique_ptr<env::Listener>> FakeNet::listen(const env::ListenOptions& /*options*/,
                                                       env::AcceptEvents& /*events*/) {
  return doozer::fail(Code::unsupported, "the fake net only dials");
}

void FakeNet::serve(const std::string& address, FakeEndpoint* endpoint) {
  endpoints_[address] = endpoint;
}

std::unique_ptr<env::Stream> FakeNet::dial(const env::DialOptions& options,
                                           env::StreamEvents& events) {
  dials_.push_back({options.address, clock_.now_us()});
  FakeEndpoint* endpoint = endpoints_[options.address];
  auto pipe = std::make_shared<Pipe>(*this, events, endpoint);
  pipe->self = pipe;
  if (!swallowed_[options.address]) {
    clock_.at(clock_.now_us() + 2 * kLatencyUs, [this, pipe] {
      if (pipe->events == nullptr) return;
      if (pipe->endpoint == nullptr) {
        fail(pipe, {Code::refused, "connection refused"});
        return;
      }
      pipe->open = true;
      pipe->endpoint->on_open(*pipe);
      pipe->events->on_connected();
    });
  }
  std::erase_if(pipes_, [](const auto& old) { return !old->open && old->events == nullptr; });
  pipes_.push_back(pipe);
  return std::make_unique<FakeStream>(pipe, options.address);
}

void FakeNet::deliver_to_server(const std::shared_ptr<Pipe>& pipe, std::string bytes) {
  bool cut = false;
  if (client_bytes_left_ > 0) {
    cut = bytes.size() >= client_bytes_left_;
    if (cut) bytes.resize(client_bytes_left_ - 1);
    client_bytes_left_ = cut ? 0 : client_bytes_left_ - bytes.size();
  }
  client_bytes_ += bytes.size();
  clock_.at(clock_.now_us() + kLatencyUs, [this, pipe, cut, bytes = std::move(bytes)] {
    if (!bytes.empty() && pipe->open && pipe->endpoint != nullptr) {
      pipe->endpoint->on_bytes(*pipe, bytes);
    }
    if (cut) fail(pipe, {Code::closed, "connection reset"});
  });
}

void FakeNet::deliver_to_client(const std::shared_ptr<Pipe>& pipe, std::string bytes) {
  bool cut = false;
  if (server_bytes_left_ > 0) {
    cut = bytes.size() >= server_bytes_left_;
    if (cut) bytes.resize(server_bytes_left_ - 1);
    server_bytes_left_ = cut ? 0 : server_bytes_left_ - bytes.size();
  }
  server_bytes_ += bytes.size();
  clock_.at(clock_.now_us() + kLatencyUs, [this, pipe, cut, bytes = std::move(bytes)] {
    const size_t piece = fragment_bytes_ == 0 ? bytes.size() : fragment_bytes_;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      if (!pipe->open || pipe->events == nullptr) break;
      pipe->events->on_bytes(std::string_view(bytes).substr(at, piece));
    }
    if (cut) fail(pipe, {Code::closed, "connection reset"});
  });
}

void FakeNet::fail(const std::shared_ptr<Pipe>& pipe, Error error) {
  if (pipe->open && pipe->endpoint != nullptr) pipe->endpoint->on_close(*pipe);
  pipe->endpoint = nullptr;
  pipe->open = false;
  env::StreamEvents* events = pipe->events;
  pipe->events = nullptr;
  if (events != nullptr) events->on_failed(error);
}

void FakeNet::reset_all() {
  const std::vector<std::shared_ptr<Pipe>> pipes = pipes_;
  for (const auto& pipe : pipes) {
    if (pipe->open) fail(pipe, {Code::closed, "connection reset"});
  }
}

void FakeNet::stall_clients(bool stalled) {
  stalled_ = stalled;
  if (stalled) return;
  const std::vector<std::shared_ptr<Pipe>> pipes = pipes_;
  for (const auto& pipe : pipes) {
    if (pipe->events == nullptr || pipe->held.empty()) continue;
    deliver_to_server(pipe, std::move(pipe->held));
    pipe->held.clear();
    pipe->events->on_progress();
  }
}

size_t FakeNet::open() const {
  return static_cast<size_t>(
      std::count_if(pipes_.begin(), pipes_.end(), [](const auto& pipe) { return pipe->open; }));
}

}  // namespace doozer::client
