#include "transport/health.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "transport/limits.h"

namespace doozer::transport {

namespace {

constexpr int kQuickAnswersMax = 4;

}  // namespace

std::string encode_beat(const Beat& beat) {
  std::string body;
  ByteWriter writer(body);
  writer.u64(beat.stamp_us);
  writer.u64(beat.echo_us);
  writer.u64(beat.held_us);
  writer.u64(beat.bulk_tag);
  writer.u64(beat.bulk_received);
  return body;
}

Result<Beat> decode_beat(std::string_view body) {
  ByteReader reader(body);
  Beat beat;
  beat.stamp_us = reader.u64();
  beat.echo_us = reader.u64();
  beat.held_us = reader.u64();
  beat.bulk_tag = reader.u64();
  beat.bulk_received = reader.u64();
  if (!reader.ok()) return fail(Code::corrupt, "beat: cut short");
  return beat;
}

void LinkHealth::connect(uint64_t now_us) {
  connected_ = true;
  their_stamp_us_ = 0;
  quick_answers_ = kQuickAnswersMax;
  // One that takes the place of another has kLinkDownUs to prove itself.
  if (up_) return;
  echo_us_ = 0;
  down_since_us_ = now_us;
}

bool LinkHealth::disconnect(bool planned) {
  connected_ = false;
  down_since_us_ = 0;
  echo_us_ = 0;
  if (!up_) return false;
  up_ = false;
  if (!planned) damp_us_ = std::clamp(2 * damp_us_, kDampUsMin, kDampUsMax);
  return true;
}

Beat LinkHealth::make_beat(uint64_t now_us) {
  // Stamps rise even within one microsecond.
  last_stamp_us_ = std::max(now_us, last_stamp_us_ + 1);
  Beat beat;
  beat.stamp_us = last_stamp_us_;
  beat.echo_us = their_stamp_us_;
  beat.held_us = their_stamp_us_ == 0 ? 0 : now_us - heard_us_;
  return beat;
}

void LinkHealth::on_beat(const Beat& beat, uint64_t now_us) {
  if (beat.stamp_us > their_stamp_us_) {
    their_stamp_us_ = beat.stamp_us;
    heard_us_ = now_us;
  }
  // An echo of what was never sent, or nothing new, proves nothing.
  if (beat.echo_us <= echoed_stamp_us_ || beat.echo_us > last_stamp_us_) return;
  echoed_stamp_us_ = beat.echo_us;
  const uint64_t age = now_us - std::min(now_us, beat.echo_us);
  const uint64_t sample = age - std::min(age, beat.held_us);
  if (sample > kEchoAgeUsMax) return;
  rtt_us_ = echo_us_ == 0 ? sample : (7 * rtt_us_ + sample) / 8;
  echo_us_ = std::max<uint64_t>(now_us, 1);
}

void LinkHealth::away(uint64_t us, uint64_t now_us) {
  if (echo_us_ != 0) echo_us_ = std::min(echo_us_ + us, std::max<uint64_t>(now_us, 1));
  if (down_since_us_ != 0) down_since_us_ = std::min(down_since_us_ + us, now_us);
}

bool LinkHealth::fresh(uint64_t now_us) const {
  return connected_ && echo_us_ != 0 && now_us - std::min(now_us, echo_us_) <= kLinkDownUs;
}

bool LinkHealth::update(uint64_t now_us, bool stalled) {
  const bool good = fresh(now_us) && !stalled;
  if (good == up_) {
    if (up_ && damp_us_ > 0 && now_us > up_since_us_ + kDampForgetFactor * damp_us_) forgive();
    return false;
  }
  up_ = good;
  if (up_) {
    up_since_us_ = now_us;
    down_since_us_ = 0;
    damped_until_us_ = damp_us_ == 0 ? 0 : now_us + damp_us_;
  } else {
    down_since_us_ = now_us;
    damp_us_ = std::clamp(2 * damp_us_, kDampUsMin, kDampUsMax);
  }
  return true;
}

}  // namespace doozer::transport
