#include <gtest/gtest.h>

#include "client/options.h"
#include "doozer/uri.h"

namespace doozer {
namespace {

TEST(Uri, GoodOnesSayWhatTheyMean) {
  const auto plain = parse_uri("doozer:?ca=127.0.0.1:8046");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->addresses, std::vector<std::string>{"127.0.0.1:8046"});
  EXPECT_FALSE(plain->tls.enabled);
  EXPECT_EQ(plain->secret, "");

  const auto full = parse_uri(
      "doozer:?ca=a:1&ca=%5B::1%5D:2&ca=c&cn=my%20name&sk=a%26b%3d+%25&tlsca=/etc/ca.pem&"
      "tlsname=doozer.example");
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(full->addresses, (std::vector<std::string>{"a:1", "[::1]:2", "c:8046"}));
  EXPECT_EQ(full->cluster_name, "my name");
  EXPECT_EQ(full->secret, "a&b=+%");
  EXPECT_TRUE(full->tls.enabled);
  EXPECT_EQ(full->tls.ca_file, "/etc/ca.pem");
  EXPECT_EQ(full->tls.server_name, "doozer.example");
  EXPECT_FALSE(full->tls.insecure);
}

TEST(Uri, TlsIsImpliedByItsKeysAndMayBeSaid) {
  struct Case {
    const char* keys;
    bool enabled;
    bool insecure;
  };
  for (const Case& c : {Case{"", false, false}, Case{"&tls=1", true, false},
                        Case{"&tls=0", false, false}, Case{"&tlsinsecure=1", true, true},
                        Case{"&tlsinsecure=0", false, false}, Case{"&tlsca=x", true, false}}) {
    const auto options = parse_uri(std::string("doozer:?ca=h:1") + c.keys);
    ASSERT_TRUE(options) << c.keys;
    EXPECT_EQ(options->tls.enabled, c.enabled) << c.keys;
    EXPECT_EQ(options->tls.insecure, c.insecure) << c.keys;
  }
}

TEST(Uri, EmptyPairsAreSkippedAndACountOfAmpersandsIsNoMatter) {
  const auto options = parse_uri("doozer:?&&ca=h:1&");
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->addresses.size(), 1U);
}

TEST(Uri, BadOnesNameTheKeyAndTheFault) {
  struct Case {
    const char* uri;
    const char* words;
  };
  for (const Case& c : {
           Case{"", "must begin with \"doozer:?\""},
           Case{"127.0.0.1:8046", "must begin with \"doozer:?\""},
           Case{"doozer:", "must begin with \"doozer:?\""},
           Case{"doozer:?", "no address"},
           Case{"doozer:?sk=x", "no address"},
           Case{"doozer:?ca=h:1&colour=red", "unknown key \"colour\""},
           Case{"doozer:?CA=h:1", "unknown key \"CA\""},
           Case{"doozer:?ca", "key \"ca\" has no value"},
           Case{"doozer:?ca=", "address \"\": is empty"},
           Case{"doozer:?ca=:1", "no host"},
           Case{"doozer:?ca=h:", "not between 1 and 65535"},
           Case{"doozer:?ca=h:0", "not between 1 and 65535"},
           Case{"doozer:?ca=h:65536", "not between 1 and 65535"},
           Case{"doozer:?ca=h:1x", "the port is not a number"},
           Case{"doozer:?ca=::1:80", "a numeric V6 host stands in brackets"},
           Case{"doozer:?ca=[::1", "no ] after ["},
           Case{"doozer:?ca=[]:1", "no host"},
           Case{"doozer:?ca=[::1]x", "something follows the ]"},
           Case{"doozer:?ca=a%20b:1", "a byte that no host has"},
           Case{"doozer:?ca=h:1&sk=%4", "sk: the % at byte 0"},
           Case{"doozer:?ca=h:1&%zz=1", "a key: the % at byte 0"},
           Case{"doozer:?ca=h:1&cn=", "cn is empty"},
           Case{"doozer:?ca=h:1&sk=a&sk=b", "sk is given twice"},
           Case{"doozer:?ca=h:1&tls=yes", "tls=\"yes\": must be 0 or 1"},
           Case{"doozer:?ca=h:1&tls=0&tlsca=f", "contradicts"},
       }) {
    const auto options = parse_uri(c.uri);
    ASSERT_FALSE(options) << c.uri;
    EXPECT_EQ(options.error().code, Code::bad_argument) << c.uri;
    EXPECT_NE(options.error().message.find(c.words), std::string::npos)
        << c.uri << ": " << options.error().message;
  }
}

TEST(Uri, ASecretNeverStandsInAMessage) {
  for (const char* uri : {"doozer:?ca=h:1&sk=hunter2%zz", "doozer:?ca=h:1&sk=hunter2&sk=hunter2",
                          "doozer:?sk=hunter2"}) {
    const auto options = parse_uri(uri);
    ASSERT_FALSE(options) << uri;
    EXPECT_EQ(options.error().message.find("hunter2"), std::string::npos) << uri;
  }
  const auto options = parse_uri("doozer:?ca=h:1&sk=hunter2");
  EXPECT_EQ(describe(*options), "h:1");
}

TEST(Uri, WhatIsPrintedIsParsedToTheSame) {
  for (const char* uri : {"doozer:?ca=h:1", "doozer:?ca=h:1&tls=1",
                          "doozer:?ca=[::1]:2&ca=b:8046&cn=n%20m&sk=%00%FF&tlsca=/a%20b&tlsname=x&"
                          "tlsinsecure=1",
                          "doozer:?cn=only"}) {
    const auto options = parse_uri(uri);
    ASSERT_TRUE(options) << uri;
    EXPECT_EQ(format_uri(*options), uri);
  }
}

TEST(Options, EachIsCheckedBeforeAnythingIsDialled) {
  Options good;
  good.addresses = {"h"};
  const auto checked = client::check_options(good);
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->addresses.front(), "h:8046");
  const auto refuses = [&good](auto change, const char* words) {
    Options options = good;
    change(options);
    const auto result = client::check_options(options);
    ASSERT_FALSE(result) << words;
    EXPECT_EQ(result.error().code, Code::bad_argument);
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  };
  refuses([](Options& o) { o.addresses.clear(); }, "no address");
  refuses([](Options& o) { o.addresses.assign(257, "h"); }, "kAddressesMax");
  refuses([](Options& o) { o.secret.assign(5000, 'x'); }, "kSecretBytesMax");
  refuses([](Options& o) { o.cluster_id = "short"; }, "identity");
  refuses([](Options& o) { o.connect_timeout = {}; }, "connect_timeout");
  refuses([](Options& o) { o.request_timeout = Duration(-1); }, "request_timeout");
  refuses([](Options& o) { o.silence_max = {}; }, "silence_max");
  refuses([](Options& o) { o.backoff_max = Duration(1); }, "backoff_max");
  refuses([](Options& o) { o.tls.cert_file = "c"; }, "go together");
  refuses([](Options& o) { o.value_bytes_max = size_t{1} << 40U; }, "value_bytes_max");
}

TEST(Options, ADeadlineNeverWrapsAround) {
  EXPECT_EQ(client::deadline_us(7, kNoTimeout, Duration(1)), UINT64_MAX);
  EXPECT_EQ(client::deadline_us(7, kDefaultTimeout, kNoTimeout), UINT64_MAX);
  EXPECT_EQ(client::deadline_us(7, kDefaultTimeout, Duration(3)), 10U);
  EXPECT_EQ(client::deadline_us(7, Duration(0), Duration(3)), 7U);
  EXPECT_EQ(client::deadline_us(7, Duration(-5), Duration(3)), 7U);
  EXPECT_GT(client::deadline_us(1ULL << 62U, Duration(INT64_MAX - 1), Duration(3)), 1ULL << 62U);
}

}  // namespace
}  // namespace doozer
