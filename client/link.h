// One connection to one server: frames, the first questions (ACCESS, REV), and then answers by tag.
// It never dials twice and knows nothing of retries: that is client/dialer.h and
// client/session.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "client/codec.h"
#include "env/net.h"

namespace doozer::client {

/// What the server said of itself to the first questions.
struct Hello {
  bool extensions = false;
  std::string cluster = {};  ///< 16 base32 characters; empty: an old server
  int64_t revision = 0;      ///< of its store
};

/// The owner of a link. A link may be destroyed from inside any of these calls.
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  /// The link is of use. Not heard by whoever takes it over later.
  virtual void on_ready(const Hello& hello) = 0;
  virtual void on_answer(const AnswerView& answer) = 0;
  /// Some of what was unsent is gone.
  virtual void on_room() = 0;
  /// The last call. permission_denied: the secret or the certificate; closed: the server hung up.
  virtual void on_lost(const Error& error) = 0;
};

class Link final : private env::StreamEvents {
 public:
  /// Tags below this one are the link's own.
  static constexpr int32_t kFirstTag = 3;

  /// Begins to dial; `events` hears from a later turn on.
  Link(env::Net& net, const env::DialOptions& dial, std::string secret, LinkEvents& events);
  ~Link() override = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// From now on another owner hears.
  void set_events(LinkEvents& events) { events_ = &events; }
  /// Takes whole frames; they leave in order, in one write.
  void write(std::string frames) { stream_->write(std::move(frames)); }
  size_t unsent() const { return stream_->unsent(); }
  /// Asks something harmless; the answer is heard with a tag below kFirstTag.
  void ping();
  /// Grows whenever bytes came or went.
  uint64_t signs_of_life() const { return signs_of_life_; }
  const std::string& address() const { return address_; }

 private:
  void on_connected() override;
  void on_bytes(std::string_view bytes) override;
  void on_progress() override {
    ++signs_of_life_;
    events_->on_room();
  }
  void on_end() override;
  void on_failed(const Error& error) override { events_->on_lost(error); }
  size_t take_frames(std::string_view bytes);
  void hear(const AnswerView& answer);
  void hear_first(const AnswerView& answer);

  const std::string address_;
  const std::string secret_;
  LinkEvents* events_;
  std::unique_ptr<env::Stream> stream_;
  std::string inbox_;  ///< the frame that is not whole yet
  bool ready_ = false;
  bool accessed_ = false;   ///< the secret was accepted, or there is none
  bool asked_rev_ = false;  ///< REV was answered
  uint64_t signs_of_life_ = 0;
  Hello hello_;
  /// Set while frames are being taken; tells that loop that the link died in a callback.
  std::shared_ptr<bool> dead_ = std::make_shared<bool>(false);
  struct Mark {
    std::shared_ptr<bool> flag;
    ~Mark() { *flag = true; }
  } mark_{dead_};
};

}  // namespace doozer::client
