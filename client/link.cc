#include "client/link.h"

#include "base/types.h"
#include "client/limits.h"

namespace doozer::client {
namespace {

constexpr int32_t kAccessTag = 1;
constexpr int32_t kRevTag = 2;
static_assert(kRevTag < Link::kFirstTag);

}  // namespace

Link::Link(env::Net& net, const env::DialOptions& dial, std::string secret, LinkEvents& events)
    : address_(dial.address), secret_(std::move(secret)), events_(&events) {
  stream_ = net.dial(dial, *this);
}

void Link::on_connected() {
  std::string frames;
  accessed_ = secret_.empty();
  if (!accessed_) {
    encode_call({.verb = Verb::access, .value = secret_}, {.tag = kAccessTag}, frames);
  }
  // REV with the extension field: an old server skips the field and tells only its revision.
  encode_call({.verb = Verb::rev}, {.tag = kRevTag, .extensions = true}, frames);
  stream_->write(std::move(frames));
}

void Link::ping() {
  std::string frame;
  encode_call({.verb = Verb::rev}, {.tag = kRevTag}, frame);
  stream_->write(std::move(frame));
}

void Link::on_bytes(std::string_view bytes) {
  ++signs_of_life_;
  const std::shared_ptr<bool> dead = dead_;
  if (inbox_.empty()) {
    const size_t taken = take_frames(bytes);
    if (!*dead) inbox_.assign(bytes.substr(taken));
    return;
  }
  inbox_.append(bytes);
  std::string held = std::move(inbox_);
  inbox_.clear();
  const size_t taken = take_frames(held);
  if (*dead) return;
  held.erase(0, taken);
  inbox_ = std::move(held);
}

/// How many bytes were whole frames. All, if the link died meanwhile or is to be forgotten.
size_t Link::take_frames(std::string_view bytes) {
  const std::shared_ptr<bool> dead = dead_;
  size_t taken = 0;
  while (taken < bytes.size()) {
    size_t size = 0;
    const Result<AnswerView> answer = decode_answer(bytes.substr(taken), size);
    if (!answer) {
      events_->on_lost(with_context(answer.error(), "answer of " + address_));
      return bytes.size();
    }
    if (size == 0) break;
    hear(*answer);
    if (*dead) return bytes.size();
    taken += size;
  }
  return taken;
}

void Link::hear(const AnswerView& answer) {
  if (ready_) {
    events_->on_answer(answer);
  } else {
    hear_first(answer);
  }
}

void Link::hear_first(const AnswerView& answer) {
  if (answer.tag == kAccessTag && !accessed_) {
    if (answer.error) {
      events_->on_lost(with_context(*answer.error, "the secret was refused"));
      return;
    }
    accessed_ = true;
  } else if (answer.tag == kRevTag && !asked_rev_) {
    if (answer.error) {
      events_->on_lost(with_context(*answer.error, "asking for the revision"));
      return;
    }
    asked_rev_ = true;
    hello_.revision = answer.rev;
    hello_.extensions = answer.cluster.size() == Identity::kSize;
    if (hello_.extensions) hello_.cluster = Identity::from_bytes(answer.cluster).to_string();
  } else {
    events_->on_lost({Code::corrupt, "an answer that nobody asked for: this is no Doozer server"});
    return;
  }
  if (accessed_ && asked_rev_) {
    ready_ = true;
    events_->on_ready(hello_);
  }
}

void Link::on_end() { events_->on_lost({Code::closed, "the server closed the connection"}); }

}  // namespace doozer::client
