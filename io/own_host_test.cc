#include "io/own_host.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <vector>

#include "io/address.h"

namespace doozer::io {
namespace {

using Others = std::vector<std::string>;

std::string host(const Others& others, bool ipv4_only = true) {
  return own_host(others, ipv4_only);
}

bool is_number(const std::string& host) {
  return !host.empty() && host.front() != '[' && numeric_address(host, 1).has_value();
}

TEST(OwnHost, IsWhereTheWayToAnotherBegins) {
  EXPECT_EQ(host({"127.0.0.1:8046"}), "127.0.0.1");
  EXPECT_EQ(host({"127.3.4.5:8046"}), "127.0.0.1") << "all of 127/8 is this machine";
  EXPECT_EQ(host({"localhost:8046"}), "127.0.0.1");
}

TEST(OwnHost, PassesOverWhatIsNoNumberAndWhatNobodyHas) {
  const Others others = {"other.example.org:1", "nonsense",   "0.0.0.0:1", "[::]:1",
                         "[fe80::1]:1",         "127.0.0.1:1"};
  EXPECT_EQ(host(others), "127.0.0.1");
  EXPECT_EQ(host(others, false), "127.0.0.1");
}

TEST(OwnHost, IsOfIpv4ForWhoListensThereOnly) {
  EXPECT_EQ(host({"[::1]:1", "127.0.0.1:1"}), "127.0.0.1");
  // Where the machine has IPv6 at all.
  const std::string either = host({"[::1]:1", "127.0.0.1:1"}, false);
  EXPECT_TRUE(either == "[::1]" || either == "127.0.0.1") << either;
}

TEST(OwnHost, IsNeverAWildcardThoughNobodyIsKnown) {
  const std::string alone = host({});
  EXPECT_TRUE(is_number(alone)) << alone;
  EXPECT_NE(alone, "0.0.0.0");
}

}  // namespace
}  // namespace doozer::io
