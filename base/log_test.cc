#include <gtest/gtest.h>

#include <limits>

#include "base/log.h"

namespace doozer {
namespace {

class Collect : public LogSink {
 public:
  void write(const LogRecord& record) override {
    json += render_log_json(record, {.wall_us = 1'700'000'000'123'456, .monotonic_us = 5'000'001});
    text += render_log_text(record, {.wall_us = 1'700'000'000'123'456, .monotonic_us = 5'000'001},
                            false);
  }
  std::string json;
  std::string text;
};

const LogContext kContext{.node = "n1", .term = Term(2), .revision = Revision(7)};

TEST(Log, JsonAndTextOfOneRecord) {
  Collect sink;
  const Logger logger(sink, kContext, LogLevel::info);
  logger.debug("hidden");
  logger.info("serving", {{"listen", "127.0.0.1:8046"}, {"count", 3}, {"ok", true}, {"ms", 1.5}});
  EXPECT_EQ(sink.json,
            "{\"time\":\"2023-11-14T22:13:20.123456Z\",\"mono_us\":5000001,\"level\":\"info\","
            "\"event\":\"serving\",\"node\":\"n1\",\"term\":2,\"revision\":7,"
            "\"listen\":\"127.0.0.1:8046\",\"count\":3,\"ok\":true,\"ms\":1.5}\n");
  EXPECT_EQ(sink.text,
            "2023-11-14T22:13:20.123456Z info  serving              listen=127.0.0.1:8046 count=3 "
            "ok=true ms=1.5 node=n1 term=2 rev=7 mono=5.000001\n");
}

TEST(Log, HostileBytesStayInOneValidLine) {
  Collect sink;
  const Logger logger(sink, kContext, LogLevel::debug);
  logger.warn("bad", {{"path", "a\"\\\n\x1b[31m\x80\xC3\xA9\xED\xA0\x80\xC2\x85\xE2\x80\xA8"},
                      {"nan", std::numeric_limits<double>::quiet_NaN()}});
  EXPECT_NE(sink.json.find("\"path\":\"a\\\"\\\\\\n\\u001b[31m\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD"
                           "\xEF\xBF\xBD\xEF\xBF\xBD\\u0085\\u2028\""),
            std::string::npos)
      << sink.json;
  EXPECT_NE(sink.json.find("\"nan\":null"), std::string::npos);
  EXPECT_EQ(sink.json.find('\n'), sink.json.size() - 1);
  EXPECT_EQ(sink.text.find('\n'), sink.text.size() - 1);
  EXPECT_EQ(sink.text.find('\x1b'), std::string::npos);
}

TEST(Log, LevelNames) {
  EXPECT_EQ(parse_log_level("warn").value(), LogLevel::warn);
  EXPECT_NE(parse_log_level("loud").error().message.find("\"loud\""), std::string::npos);
}

}  // namespace
}  // namespace doozer
