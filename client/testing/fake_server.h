// A small Doozer in memory that answers at an address of the fake net: enough of the protocol to
// judge a client by, old or with the extensions, obedient or not. It writes down every request.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/types.h"
#include "client/testing/fake_net.h"
#include "doozer/types.h"
#include "wire/doozer.h"

namespace doozer::client {

/// The history that the servers of one fake cluster share. Revision n is commits[n - 1].
struct FakeStore {
  struct Change {
    int32_t flags = 0;  ///< as the wire's: 4 set, 8 del, 0 nop
    std::string path;
    std::string value;
  };
  std::vector<std::vector<Change>> commits;

  int64_t revision() const { return static_cast<int64_t>(commits.size()); }
  int64_t commit(std::vector<Change> changes) {
    commits.push_back(std::move(changes));
    return revision();
  }
  int64_t set(const std::string& path, const std::string& value) {
    return commit({{wire::kFlagSet, path, value}});
  }
  struct Held {
    std::string value;
    int64_t revision = 0;
  };
  /// All files as of `revision`.
  std::map<std::string, Held> at(int64_t revision) const;
};

/// A request as it came.
struct Heard {
  int32_t verb = 0;
  std::string path;
  std::optional<int64_t> rev;
  std::optional<int32_t> offset;
  std::optional<int32_t> mode;
  std::optional<int64_t> min_rev;
  std::string value;
  uint64_t connection = 0;
};

class FakeServer final : public FakeEndpoint {
 public:
  explicit FakeServer(std::shared_ptr<FakeStore> store) : store_(std::move(store)) {}

  // How it behaves; may be changed at any time.
  bool extensions = true;
  Identity cluster = Identity({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  std::string secret;          ///< wanted before anything but ACCESS, REV and SELF
  bool writable = true;        ///< else READONLY
  bool majority = true;        ///< else linearizable reads are READONLY
  bool silent = false;         ///< takes requests and answers none
  bool deaf = false;           ///< takes requests, does not even do them
  std::optional<Rng> shuffle;  ///< answers what came in one piece in an order of chance
  bool reversed = false;       ///< answers what came in one piece in reverse order
  int64_t lag = 0;             ///< revisions by which its reads trail the store
  int64_t oldest = 1;          ///< below: TOO_LATE
  bool forgets_continuations = false;
  bool newest_continuation_first = false;
  std::string name = "FAKESERVERAAAAAA";
  std::function<void(const Heard&)> on_request;

  /// Every request but the first questions of each link (ACCESS, REV with tags below 3).
  const std::vector<Heard>& heard() const { return heard_; }
  size_t heard_of(wire::Verb verb) const;
  uint64_t connections() const { return connections_; }
  size_t waiting() const;
  /// Answers the waits that can be: after the store or `lag` was changed from outside.
  void wake();
  /// Ends every connection in order.
  void end_all();
  /// Sends raw bytes on every connection.
  void send_all(const std::string& bytes);

 private:
  struct Request {
    wire::RequestView view;
    std::string path;
    std::string value;
  };
  struct Peer {
    FakePeer* peer = nullptr;
    uint64_t number = 0;
    std::string inbox = {};
    bool granted = false;
    std::vector<Request> waits = {};
    std::deque<std::pair<std::pair<std::string, int64_t>, Position>> continuations = {};
  };
  void on_open(FakePeer& peer) override;
  void on_bytes(FakePeer& peer, std::string_view bytes) override;
  void on_close(FakePeer& peer) override;

  int64_t applied() const { return std::max<int64_t>(0, store_->revision() - lag); }
  /// The answer, or nothing: it waits, or is swallowed.
  std::optional<std::string> handle(Peer& peer, const Request& request);
  std::optional<std::string> answer(const Request& request, wire::ResponseView response) const;
  std::optional<std::string> error(const Request& request, wire::ErrCode code,
                                   std::string_view detail = {}) const;
  std::optional<std::string> write(const Request& request);
  std::optional<std::string> read(Peer& peer, const Request& request);
  std::optional<std::string> list(const Request& request, int64_t revision) const;
  std::optional<std::string> wait(Peer& peer, const Request& request);
  std::optional<std::string> event(Peer& peer, const Request& request, int64_t revision,
                                   int64_t skip);

  std::shared_ptr<FakeStore> store_;
  std::map<FakePeer*, Peer> peers_;
  std::vector<Heard> heard_;
  uint64_t connections_ = 0;
};

/// `/a/**` matches what is below /a, `/a/*` what is right below, anything else itself.
bool fake_match(std::string_view glob, std::string_view path);

}  // namespace doozer::client
