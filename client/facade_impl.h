// What the files of the facade share.
#pragma once

#include <future>
#include <memory>
#include <utility>

#include "base/result.h"
#include "client/engine.h"
#include "doozer/client.h"

namespace doozer {

struct Client::Impl {
  std::shared_ptr<client::Engine> engine;

  /// `start(core, then)` on the engine's thread; `then` hears Code::closed if there is none.
  template <typename T, typename Start>
  void async(Start start, Callback<T> then) {
    engine->post([start = std::move(start), then = std::move(then)](client::Core* core) mutable {
      if (core == nullptr) {
        if (then) then(fail(Code::closed, "the client is closed"));
        return;
      }
      start(*core, client::Then<T>([then = std::move(then)](Result<T> result) {
        if (then) then(std::move(result));
      }));
    });
  }

  /// `begin(callback)` starts the operation.
  template <typename T, typename Begin>
  static std::future<Result<T>> future(Begin begin) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    std::future<Result<T>> future = promise->get_future();
    begin([promise](Result<T> result) { promise->set_value(std::move(result)); });
    return future;
  }

  template <typename T, typename Begin>
  Result<T> blocking(Begin begin) {
    if (engine->on_own_thread()) {
      return fail(Code::bad_argument,
                  "a blocking call from inside a callback would wait for itself: use the async_ "
                  "form there");
    }
    return future<T>(std::move(begin)).get();
  }
};

}  // namespace doozer
