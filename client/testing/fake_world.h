// What most tests of the client begin with: time, a net, three servers of one store, options that
// name the first of them, and boxes for outcomes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "client/core.h"
#include "client/testing/fake_server.h"

namespace doozer::client {

/// Keeps the one outcome that a callback may hear.
template <typename T = void>
class Box {
 public:
  Then<T> then() {
    return [this](Result<T> result) {
      CHECK(!result_.has_value());
      result_ = std::move(result);
    };
  }
  bool done() const { return result_.has_value(); }
  bool ok() const { return done() && result_->has_value(); }
  const Result<T>& result() const {
    CHECK(done());
    return *result_;
  }
  const auto& value() const {
    CHECK(ok());
    return **result_;
  }
  const Error& error() const {
    CHECK(done());
    CHECK(!result_->has_value());
    return result_->error();
  }

 private:
  std::optional<Result<T>> result_;
};

struct World {
  static constexpr const char* kA = "a:8046";
  static constexpr const char* kB = "b:8046";
  static constexpr const char* kC = "c:8046";

  World() {
    net.serve(kA, &a);
    options.addresses = {kA};
  }

  /// A core with `options`, not connected yet.
  Core& make(uint64_t seed = 1) {
    Result<std::unique_ptr<Core>> made = Core::make(clock, net, options, seed);
    CHECK(made.has_value());
    core = std::move(*made);
    return *core;
  }
  /// The same, and connected.
  Core& connected(uint64_t seed = 1) {
    make(seed);
    Box<> box;
    core->connect(box.then());
    CHECK(clock.run_until([&] { return box.done(); }));
    CHECK(box.ok());
    return *core;
  }
  template <typename T>
  const Result<T>& finish(const Box<T>& box) {
    CHECK(clock.run_until([&] { return box.done(); }));
    return box.result();
  }

  FakeClock clock;
  FakeNet net{clock};
  std::shared_ptr<FakeStore> store = std::make_shared<FakeStore>();
  FakeServer a{store};
  FakeServer b{store};
  FakeServer c{store};
  Options options;
  std::unique_ptr<Core> core;
};

}  // namespace doozer::client
