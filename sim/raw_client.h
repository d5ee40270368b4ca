// A client of tests: sends requests as they are and keeps every answer by its tag. No retry, no
// reconnect, no opinion.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/net.h"
#include "wire/doozer.h"

namespace doozer::sim {

/// An answer with strings of its own.
struct Answer {
  int64_t rev = 0;
  int32_t flags = 0;
  int32_t len = 0;
  std::string path;
  std::string value;
  std::optional<int64_t> store_rev;
  std::optional<int32_t> outcome;
  int32_t err_code = 0;  ///< 0: none
  std::string err_detail;
};

class RawClient final : public env::StreamEvents {
 public:
  RawClient(env::Net& net, const std::string& address);
  /// Sends at once; the tag is the next number from 1 and is returned.
  int32_t send(wire::RequestView request);
  void send_bytes(std::string bytes);
  void shutdown() { stream_->shutdown(); }
  void pause_reading() { stream_->pause_reading(); }
  void resume_reading() { stream_->resume_reading(); }
  /// Closes the stream.
  void close() { stream_.reset(); }

  const Answer* answer(int32_t tag) const;
  size_t answers() const { return answers_.size(); }
  /// Tags in the order in which answers came.
  const std::vector<int32_t>& order() const { return order_; }
  bool connected() const { return connected_; }
  bool ended() const { return ended_; }
  const std::optional<Error>& failed() const { return failed_; }

  void on_connected() override { connected_ = true; }
  void on_bytes(std::string_view bytes) override;
  void on_end() override { ended_ = true; }
  void on_failed(const Error& error) override { failed_ = error; }

 private:
  std::unique_ptr<env::Stream> stream_;
  std::string in_;
  int32_t tag_ = 0;
  std::map<int32_t, Answer> answers_;
  std::vector<int32_t> order_;
  bool connected_ = false;
  bool ended_ = false;
  std::optional<Error> failed_;
};

}  // namespace doozer::sim
