#include "transport/connection.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/sha256.h"
#include "transport/limits.h"

namespace doozer::transport {
namespace {

// Before the other side is proven nothing larger than a hello is taken from it.
constexpr size_t kUnprovenBodyBytesMax = kHelloBytes;

}  // namespace

Connection::Connection(uint64_t id, ConnectionOwner& owner, env::Net& net, env::DialOptions options,
                       Role role, const Identity& expected)
    : id_(id),
      owner_(owner),
      side_(Side::dialled),
      role_(role),
      address_(options.address),
      expected_(expected),
      began_us_(owner.now_us()),
      state_(State::connecting),
      reader_(kUnprovenBodyBytesMax) {
  options.stream_class = role == Role::bulk ? env::StreamClass::bulk : env::StreamClass::control;
  options.timeout_us = kHandshakeUs;
  stream_ = net.dial(options, *this);
}

Connection::Connection(uint64_t id, ConnectionOwner& owner, std::unique_ptr<env::Stream> stream)
    : id_(id),
      owner_(owner),
      side_(Side::accepted),
      address_(stream->peer()),
      began_us_(owner.now_us()),
      state_(State::greeting),
      stream_(std::move(stream)),
      reader_(kUnprovenBodyBytesMax) {
  stream_->redirect(*this);
  stream_->set_class(env::StreamClass::control);
}

Connection::Connection(uint64_t id, ConnectionOwner& owner, env::AcceptedStream& accepted)
    : id_(id),
      owner_(owner),
      side_(Side::accepted),
      address_(accepted.peer()),
      began_us_(owner.now_us()),
      state_(State::greeting),
      reader_(kUnprovenBodyBytesMax) {
  stream_ = accepted.attach(*this);
  stream_->set_class(env::StreamClass::control);
}

void Connection::begin(std::string_view first_bytes) {
  if (const std::string why = owner_.forbidden(address_, stream_->certified()); !why.empty()) {
    stream_->write(std::string(kPreamble));
    refuse({RefusalCode::secret, why});
    owner_.on_lost(*this, {Code::permission_denied, why});
    return;
  }
  on_bytes(first_bytes);
}

void Connection::on_connected() {
  if (state_ != State::connecting) return;
  state_ = State::greeting;
  if (const std::string why = owner_.forbidden(stream_->peer(), stream_->certified());
      !why.empty()) {
    lost({Code::permission_denied, why});
    return;
  }
  greet(nullptr);
}

void Connection::greet(const Hello* theirs) {
  const Hello mine = owner_.make_hello(*this, theirs);
  my_hello_ = encode_hello(mine);
  mine_ = mine.identity.to_string();
  my_address_ = mine.address;
  // Of the dialler's nonce.
  const Hello& dialler = theirs == nullptr ? mine : *theirs;
  tag_ = hash64({reinterpret_cast<const char*>(dialler.nonce.data()), dialler.nonce.size()}) | 1U;
  std::string bytes(kPreamble);
  append_frame(FrameType::hello, my_hello_, bytes);
  stream_->write(std::move(bytes));
}

void Connection::on_bytes(std::string_view bytes) {
  if (state_ == State::lingering || state_ == State::dead) return;
  reader_.feed(bytes);
  FrameReader::Frame frame;
  for (;;) {
    const Result<bool> whole = reader_.next(frame);
    if (!whole) {
      lost(whole.error());
      return;
    }
    if (!*whole) return;
    handle(frame);
    if (state_ == State::lingering || state_ == State::dead) return;
  }
}

void Connection::handle(const FrameReader::Frame& frame) {
  switch (frame.type) {
    case FrameType::hello: on_hello(frame.body); return;
    case FrameType::proof: on_proof(frame.body); return;
    case FrameType::welcome:
      if (state_ != State::welcoming) break;
      establish();
      return;
    case FrameType::refusal: {
      const Result<Refusal> refusal = decode_refusal(frame.body);
      if (!refusal) return lost(refusal.error());
      state_ = State::dead;
      stream_.reset();
      owner_.on_refused(*this, *refusal);
      return;
    }
    case FrameType::goodbye: planned_close_ = true; return;
    case FrameType::beat:
    case FrameType::link_state:
    case FrameType::message:
    case FrameType::relayed:
    case FrameType::part:
    case FrameType::relayed_part:
      if (state_ != State::established) break;
      bytes_received_ += kFrameHeadBytes + frame.body.size();
      owner_.on_frame(*this, frame);
      return;
  }
  lost({Code::corrupt,
        "peer frame: type " + std::to_string(static_cast<int>(frame.type)) + " out of order"});
}

void Connection::on_hello(std::string_view body) {
  if (state_ != State::greeting || !their_hello_.empty()) {
    return lost({Code::corrupt, "hello: out of order"});
  }
  Result<Hello> hello = decode_hello(body);
  if (!hello) {
    if (hello.error().code != Code::unsupported) return lost(hello.error());
    if (side_ == Side::accepted) stream_->write(std::string(kPreamble));
    refuse({RefusalCode::version, hello.error().message});
    owner_.on_lost(*this, hello.error());
    return;
  }
  their_hello_ = body;
  theirs_ = std::move(*hello);
  if (side_ == Side::dialled) return;
  role_ = theirs_.role;
  if (role_ == Role::bulk) stream_->set_class(env::StreamClass::bulk);
  greet(&theirs_);
  send_frame(FrameType::proof,
             make_proof(owner_.secret(), Side::accepted, their_hello_, my_hello_));
}

void Connection::on_proof(std::string_view body) {
  if (state_ != State::greeting || their_hello_.empty() || proven_) {
    return lost({Code::corrupt, "proof: out of order"});
  }
  const bool dialler = side_ == Side::dialled;
  const std::string& first = dialler ? my_hello_ : their_hello_;
  const std::string& second = dialler ? their_hello_ : my_hello_;
  const std::string wanted =
      make_proof(owner_.secret(), dialler ? Side::accepted : Side::dialled, first, second);
  if (!owner_.secret().empty() && !equal_in_constant_time(body, wanted)) {
    const std::string why = "the secret of server " + theirs_.identity.to_string() + " at " +
                            address_ + " is not the one of server " + mine_ + " at " + my_address_;
    refuse({RefusalCode::secret, why});
    owner_.on_lost(*this, {Code::permission_denied, why});
    return;
  }
  proven_ = true;
  if (dialler) {
    send_frame(FrameType::proof, make_proof(owner_.secret(), Side::dialled, first, second));
  }
  my_hello_ = std::string();
  their_hello_ = " ";  // not another one
  owner_.on_proven(*this);
}

void Connection::accept() {
  CHECK(state_ == State::greeting);
  CHECK(proven_);
  reader_.set_body_max(kFrameBodyBytesMax);
  if (side_ == Side::dialled) {
    state_ = State::welcoming;
    return;
  }
  send_frame(FrameType::welcome, {});
  establish();
}

void Connection::establish() {
  state_ = State::established;
  established_us_ = owner_.now_us();
  owner_.on_established(*this);
}

void Connection::refuse(const Refusal& refusal) {
  if (state_ == State::lingering || state_ == State::dead) return;
  send_frame(FrameType::refusal, encode_refusal(refusal));
  linger();
}

void Connection::say_goodbye() {
  if (state_ == State::established) send_frame(FrameType::goodbye, {});
}

void Connection::close() {
  if (state_ == State::lingering || state_ == State::dead) return;
  if (state_ == State::connecting) return cut();
  send_frame(FrameType::goodbye, {});
  linger();
}

void Connection::cut() {
  state_ = State::dead;
  stream_.reset();
}

void Connection::linger() {
  state_ = State::lingering;
  linger_since_us_ = owner_.now_us();
  stream_->shutdown();
}

void Connection::write(std::string frames) {
  CHECK(state_ == State::established);
  if (stream_->unsent() == 0) unsent_since_us_ = 0;
  bytes_sent_ += frames.size();
  stream_->write(std::move(frames));
  if (unsent_since_us_ == 0 && stream_->unsent() > 0) unsent_since_us_ = owner_.now_us();
}

void Connection::away(uint64_t us) {
  if (unsent_since_us_ != 0) unsent_since_us_ = std::min(unsent_since_us_ + us, owner_.now_us());
}

void Connection::send_frame(FrameType type, std::string_view body) {
  std::string frame;
  append_frame(type, body, frame);
  stream_->write(std::move(frame));
}

void Connection::tick() {
  const uint64_t now = owner_.now_us();
  if (state_ == State::lingering && now - linger_since_us_ > kLingerUs) cut();
  // Who only asks has its answer.
  if (state_ == State::established && role_ == Role::ask && now - began_us_ > kHandshakeUs) close();
  const bool shaking_hands =
      state_ == State::connecting || state_ == State::greeting || state_ == State::welcoming;
  if (shaking_hands && now - began_us_ > kHandshakeUs) {
    lost({Code::timed_out, "handshake with " + address_ + ": took too long"});
  }
}

void Connection::on_progress() {
  unsent_since_us_ = stream_ != nullptr && stream_->unsent() > 0 ? owner_.now_us() : 0;
}

void Connection::on_end() {
  lost({Code::closed, "connection with " + address_ + ": closed by the peer"});
}

void Connection::on_failed(const Error& error) { lost(error); }

void Connection::lost(const Error& error) {
  if (state_ == State::dead) return;
  const bool told = state_ == State::lingering;
  const bool connected = state_ != State::connecting;
  state_ = State::dead;
  // A stream may be destroyed in its own call.
  stream_.reset();
  if (told) return;
  owner_.on_lost(
      *this, connected && error.code == Code::refused ? Error{Code::closed, error.message} : error);
}

}  // namespace doozer::transport
