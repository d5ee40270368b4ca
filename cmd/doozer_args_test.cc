#include "cmd/doozer_args.h"

#include <gtest/gtest.h>

#include <map>

namespace doozer::cli {
namespace {

Result<Invocation> parse(std::vector<std::string> words,
                         std::map<std::string, std::string> environment = {}) {
  return parse_command_line(words, [&](const char* name) { return environment[name]; });
}

/// The message of what must fail.
std::string complaint(std::vector<std::string> words) {
  const auto parsed = parse(std::move(words));
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().code, Code::bad_argument);
  return parsed.error().message;
}

TEST(DoozerArgs, OptionsStandBeforeAndAfterTheCommandWithOneDashOrTwo) {
  const std::vector<std::vector<std::string>> same = {
      {"-r", "7", "get", "/x"},    {"-r=7", "get", "/x"},     {"get", "-r", "7", "/x"},
      {"get", "/x", "--rev", "7"}, {"get", "/x", "--rev=7"},  {"--rev=7", "get", "/x"},
      {"-rev", "7", "get", "/x"},  {"--r", "7", "get", "/x"}, {"get", "-r=7", "--", "/x"},
  };
  for (const auto& words : same) {
    const auto parsed = parse(words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->command->name, "get");
    EXPECT_EQ(parsed->arguments, std::vector<std::string>{"/x"});
    EXPECT_EQ(parsed->revision, 7);
  }
}

TEST(DoozerArgs, ANegativeNumberIsARevisionAndNoOption) {
  const auto parsed = parse({"set", "/x", "-1"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->arguments, (std::vector<std::string>{"/x", "-1"}));
}

TEST(DoozerArgs, RevisionMinusOneIsNoneAsInTheOriginal) {
  const auto parsed = parse({"-r", "-1", "watch", "/**"});
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->revision.has_value());
}

TEST(DoozerArgs, WhatIsWrongIsNamed) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "no command"},
      {{"frob"}, "unknown command \"frob\""},
      {{"get"}, "too few arguments; it is: doozer get PATH"},
      {{"get", "/a", "/b"}, "too many arguments; it is: doozer get PATH"},
      {{"rev", "x"}, "too many arguments; it is: doozer rev"},
      {{"set", "/a"},
       "too few arguments; it is: doozer set PATH REV [VALUE] (REV -1 passes always, see doozer "
       "help set)"},
      {{"set", "/a", "x"}, "revision \"x\" is no whole number"},
      {{"set", "/a", "-2", "v"}, "revision -2 passes never; the least is -1, which passes always"},
      {{"import", "--below", "zz"},
       "option --below: \"zz\" is no path; a path is / or /NAME/NAME..."},
      {{"import", "--below", "/a/"},
       "option --below: \"/a/\" is no path; a path is / or /NAME/NAME..."},
      {{"-b", "doozer:?frob=1", "rev"},
       "option --boot (or DOOZER_BOOT_URI): URI: unknown key \"frob\"; known are ca, cn, sk, tls, "
       "tlsca, tlsname, tlsinsecure"},
      {{"del", "/a", "1.5"}, "revision \"1.5\" is no whole number"},
      {{"-r", "3", "set", "/a", "1"},
       "doozer set has no use for --rev; its revision is the second argument"},
      {{"-r", "x", "get", "/a"}, "option --rev: \"x\" is no number from -1 on"},
      {{"-r"}, "option --rev needs a value: REV"},
      {{"get", "/a", "--local=yes"}, "option --local takes no value"},
      {{"get", "/a", "--exec", "x"}, "doozer get has no option --exec"},
      {{"--exec", "x", "watch", "/a"},
       "unknown option --exec (options of a command stand after it)"},
      {{"watch", "/a", "--count", "0"}, "option --count: \"0\" is no number from 1 on"},
      {{"get", "/a", "-o", "xml"}, "option --output: \"xml\" is neither text nor json"},
      {{"get", "/a", "-t", "0"}, "option --timeout: must be over 0"},
      {{"set", "/a", "1", "v", "-f", "x"},
       "the value is given twice, as an argument and by --file"},
      {{"set", "/a", "1", "v", "--value-bytes-max", "17MiB"},
       "option --value-bytes-max: \"17MiB\" is not between 1 and 16MiB"},
      {{"get", "/a", "--value-bytes-max", "2MiB"}, "doozer get has no option --value-bytes-max"},
      {{"--tls-cert", "x", "rev"}, "--tls-cert and --tls-key are given together or not at all"},
      {{"-a", "doozer:?cn=prod", "rev"},
       "the URI names a cluster but no server; give --boot with the URI of a name service"},
  };
  for (const auto& [words, message] : cases) EXPECT_EQ(complaint(words), message);
}

TEST(DoozerArgs, ANameServiceIsGivenAsAUriOrAsAddresses) {
  for (const auto& [given, uri] :
       std::vector<std::pair<std::string, std::string>>{{"doozer:?ca=a:1", "doozer:?ca=a:1"},
                                                        {"a:1", "doozer:?ca=a:1"},
                                                        {"a:1,b", "doozer:?ca=a:1&ca=b"}}) {
    const auto parsed = parse({"-b", given, "rev"});
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->client.boot_uri, uri);
  }
}

TEST(DoozerArgs, JsonIsAskedForEvenWhereAnotherWordIsWrong) {
  const std::vector<std::pair<std::vector<std::string>, bool>> cases = {
      {{"-o", "json", "frob"}, true},
      {{"get", "--output=json"}, true},
      {{"-o=json", "--frob"}, true},
      {{"get", "-output", "json"}, true},
      {{"get", "-o", "text"}, false},
      {{"get", "/a", "json"}, false},
      {{"get", "-o"}, false},
      {{"get", "--", "-o", "json"}, false},
      {{"-o", "json", "-o=text"}, false}};
  for (const auto& [words, json] : cases) EXPECT_EQ(asks_for_json(words), json) << words[0];
}

TEST(DoozerArgs, TheClusterComesFromTheOptionThenTheEnvironmentThenLoopback) {
  EXPECT_EQ(parse({"rev"})->client.addresses, std::vector<std::string>{"127.0.0.1:8046"});
  const std::map<std::string, std::string> environment = {
      {"DOOZER_URI", "doozer:?ca=10.0.0.1:1&sk=s"}, {"DOOZER_SECRET", "other"}};
  const auto from_environment = parse({"rev"}, environment);
  EXPECT_EQ(from_environment->client.addresses, std::vector<std::string>{"10.0.0.1:1"});
  EXPECT_EQ(from_environment->client.secret, "s");
  const auto from_option = parse({"-a", "h:2", "rev"}, environment);
  EXPECT_EQ(from_option->client.addresses, std::vector<std::string>{"h:2"});
  EXPECT_EQ(from_option->client.secret, "other");
}

TEST(DoozerArgs, AnAddressMayBeBareAndThereMayBeSeveral) {
  const auto cluster = parse_cluster("one,two:9,[::1]:7");
  ASSERT_TRUE(cluster) << cluster.error().message;
  EXPECT_EQ(cluster->addresses, (std::vector<std::string>{"one:8046", "two:9", "[::1]:7"}));
  EXPECT_FALSE(parse_cluster("doozer:?what=1"));
  EXPECT_FALSE(parse_cluster("one,,two"));
}

TEST(DoozerArgs, ANameServiceIsAskedOnlyWhenNoAddressIsTold) {
  const auto alone = parse({"-b", "doozer:?ca=h:1", "rev"});
  ASSERT_TRUE(alone) << alone.error().message;
  EXPECT_EQ(alone->client.cluster_name, "local");
  EXPECT_EQ(alone->client.boot_uri, "doozer:?ca=h:1");
  const auto named = parse({"-a", "doozer:?cn=prod", "-b", "doozer:?ca=h:1", "rev"});
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_EQ(named->client.cluster_name, "prod");
  const auto told = parse({"-a", "h:2", "-b", "doozer:?ca=h:1", "rev"});
  EXPECT_EQ(told->client.boot_uri, "");
}

TEST(DoozerArgs, TlsOptionsTurnTlsOn) {
  EXPECT_FALSE(parse({"rev"})->client.tls.enabled);
  const auto parsed = parse({"--tls-ca", "ca.pem", "rev", "--tls-name=db"});
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->client.tls.enabled);
  EXPECT_EQ(parsed->client.tls.ca_file, "ca.pem");
  EXPECT_EQ(parsed->client.tls.server_name, "db");
}

TEST(DoozerArgs, TheTimeLimitIsThatOfRequestsAndNeverLongerForConnecting) {
  const auto brief = parse({"rev", "-t", "500ms"});
  EXPECT_EQ(brief->client.request_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(brief->client.connect_timeout, std::chrono::milliseconds(500));
  const auto long_one = parse({"rev", "-t", "60"});
  EXPECT_EQ(long_one->client.request_timeout, std::chrono::seconds(60));
  EXPECT_EQ(long_one->client.connect_timeout, std::chrono::seconds(5));
}

TEST(DoozerArgs, TheLimitOfValuesIsTheLibrarysUnlessTheOptionRaisesIt) {
  EXPECT_EQ(parse({"set", "/x", "0", "v"})->client.value_bytes_max, 1U << 20U);
  const auto raised = parse({"set", "/x", "0", "v", "--value-bytes-max", "16MiB"});
  ASSERT_TRUE(raised) << raised.error().message;
  EXPECT_EQ(raised->client.value_bytes_max, 16U << 20U);
}

TEST(DoozerArgs, HelpNeedsNoArguments) {
  EXPECT_TRUE(parse({"--help"})->help);
  const auto set = parse({"set", "-h"});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->command->name, "set");
  EXPECT_TRUE(parse({"-v"})->version);
  EXPECT_TRUE(parse({"help"}, {{"DOOZER_URI", "doozer:?nonsense"}}));
  EXPECT_FALSE(parse({"rev"}, {{"DOOZER_URI", "doozer:?nonsense"}}));
}

}  // namespace
}  // namespace doozer::cli
