// A callable that is moved, not copied, so that it may own what it needs (std::move_only_function
// comes only with C++23).
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace doozer {

template <typename Signature>
class UniqueFunction;

/// Owns one callable. Calling an empty one is a bug. One allocation when made from a callable.
template <typename R, typename... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, UniqueFunction>) &&
            std::is_invocable_r_v<R, std::remove_cvref_t<F>&, Args...>
  UniqueFunction(F&& callable)  // NOLINT(google-explicit-constructor): reads like std::function
      : held_(std::make_unique<Held<std::remove_cvref_t<F>>>(std::forward<F>(callable))) {}

  R operator()(Args... args) {
    CHECK(held_ != nullptr);
    return held_->call(std::forward<Args>(args)...);
  }
  explicit operator bool() const { return held_ != nullptr; }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual R call(Args... args) = 0;
  };
  template <typename F>
  struct Held final : Base {
    explicit Held(F callable) : callable(std::move(callable)) {}
    R call(Args... args) override { return callable(std::forward<Args>(args)...); }
    F callable;
  };
  std::unique_ptr<Base> held_;
};

}  // namespace doozer
