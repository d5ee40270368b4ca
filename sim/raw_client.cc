#include "sim/raw_client.h"

#include <utility>

#include "base/check.h"
#include "base/limits.h"

namespace doozer::sim {

RawClient::RawClient(env::Net& net, const std::string& address) {
  env::DialOptions options;
  options.address = address;
  stream_ = net.dial(options, *this);
}

int32_t RawClient::send(wire::RequestView request) {
  request.tag = ++tag_;
  std::string frame;
  wire::append_request(request, frame);
  stream_->write(std::move(frame));
  return tag_;
}

void RawClient::send_bytes(std::string bytes) { stream_->write(std::move(bytes)); }

const Answer* RawClient::answer(int32_t tag) const {
  const auto found = answers_.find(tag);
  return found == answers_.end() ? nullptr : &found->second;
}

void RawClient::on_bytes(std::string_view bytes) {
  in_ += bytes;
  for (;;) {
    const auto size = wire::frame_bytes(in_, kCommandBytesMax);
    CHECK(size.has_value());
    if (*size == 0 || in_.size() < *size) return;
    const auto decoded = wire::decode_response(
        std::string_view(in_).substr(wire::kHeadBytes, *size - wire::kHeadBytes));
    CHECK(decoded.has_value());
    const int32_t tag = decoded->tag.value_or(0);
    answers_[tag] = Answer{.rev = decoded->rev.value_or(0),
                           .flags = decoded->flags.value_or(0),
                           .len = decoded->len.value_or(0),
                           .path = std::string(decoded->path.value_or("")),
                           .value = std::string(decoded->value.value_or("")),
                           .store_rev = decoded->store_rev,
                           .outcome = decoded->outcome,
                           .err_code = decoded->err_code.value_or(0),
                           .err_detail = std::string(decoded->err_detail.value_or(""))};
    order_.push_back(tag);
    in_.erase(0, *size);
  }
}

}  // namespace doozer::sim
