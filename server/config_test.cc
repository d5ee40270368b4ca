#include <gtest/gtest.h>

#include "server/config.h"
#include "server/config_address.h"
#include "server/options_table.h"

namespace doozer::server {
namespace {

constexpr std::string_view kPath = "doozerd.toml";

ConfigSource flag(std::string_view name) {
  return {.kind = ConfigSource::Kind::flag, .name = "--" + std::string(name)};
}

struct Given {
  std::vector<std::pair<std::string, std::string>> flags = {};
  Environment environment = {};
  std::string file = {};
};

Result<Configured> configure(const Given& given) {
  ConfigBuilder builder;
  // Deliberately not in the order of precedence.
  for (const auto& [key, value] : given.flags) builder.set(flag(key), key, value);
  builder.set_environment(given.environment);
  if (!given.file.empty()) read_config_file(builder, kPath, given.file);
  return builder.finish();
}

std::string problem_of(const Given& given) {
  const auto configured = configure(given);
  return configured ? "(none)" : configured.error().message;
}

const ConfigSource& source_of(const Configured& configured, std::string_view name) {
  return configured.sources.at(find_option(name).value());
}

TEST(Config, NothingGivenIsGood) {
  const Configured configured = configure({}).value();
  EXPECT_EQ(configured.config.listen, "127.0.0.1:8046");
  EXPECT_EQ(configured.config.history, 360'000U);
  EXPECT_EQ(configured.config.history_bytes, 256U << 20U);
  EXPECT_EQ(configured.config.timeout_us, 60'000'000U);
  EXPECT_EQ(configured.config.data_dir, "./data");
  EXPECT_EQ(configured.config.cluster, "local");
  EXPECT_EQ(configured.config.slots, 1U);
  EXPECT_FALSE(configured.config.tls());
  EXPECT_TRUE(configured.warnings.empty());
}

TEST(Config, DefaultsAdmitWhatThePromisesSay) {
  const Config config;
  EXPECT_GE(config.connections_max, 10'000U);
  EXPECT_GE(config.connections_per_address_max, 10'000U);
  EXPECT_GE(config.waits_per_connection_max, 10'000U);
  EXPECT_GE(config.outstanding_requests_max, 1'000U);
}

TEST(Config, EveryDefaultIsAGoodValueOfItsOption) {
  for (const Option& option : options()) {
    const std::string text = default_text(option);
    if (text.empty()) continue;
    Config config;
    const auto assigned = assign(option, text, config);
    EXPECT_TRUE(assigned) << option.name << ": " << assigned.error().message;
    EXPECT_EQ(value_text(option, config), value_text(option, Config{})) << option.name;
  }
}

TEST(Config, FlagOverEnvironmentOverFileOverDefault) {
  const std::string file = "history = 3\ncluster = \"file\"\nslots = 2\n";
  const Environment environment = {{"DOOZERD_HISTORY", "4"}, {"DOOZERD_CLUSTER", "env"}};
  const Configured all = configure({{{"history", "5"}}, environment, file}).value();
  EXPECT_EQ(all.config.history, 5U);
  EXPECT_EQ(source_of(all, "history").to_string(), "flag --history");
  EXPECT_EQ(all.config.cluster, "env");
  EXPECT_EQ(source_of(all, "cluster").to_string(), "environment DOOZERD_CLUSTER");
  EXPECT_EQ(all.config.slots, 2U);
  EXPECT_EQ(source_of(all, "slots").to_string(), "doozerd.toml:3");
  EXPECT_EQ(source_of(all, "listen").to_string(), "default");
}

TEST(Config, AListOfAStrongerSourceReplacesAndOfTheSameSourceGrows) {
  const std::string file = "attach = [\"f:1\", \"f:2\"]\n";
  const Configured from_file = configure({.file = file}).value();
  EXPECT_EQ(from_file.config.attach, (std::vector<std::string>{"f:1", "f:2"}));
  const Configured from_env =
      configure({.environment = {{"DOOZERD_ATTACH", "e:1"}}, .file = file}).value();
  EXPECT_EQ(from_env.config.attach, (std::vector<std::string>{"e:1"}));
  const Configured from_flags =
      configure({{{"attach", "a:1"}, {"attach", "a:2"}}, {{"DOOZERD_ATTACH", "e:1"}}, file})
          .value();
  EXPECT_EQ(from_flags.config.attach, (std::vector<std::string>{"a:1", "a:2"}));
}

TEST(Config, AListStandsBetweenCommasWhereOnlyOneTextFits) {
  const Configured all = configure({.environment = {{"DOOZERD_ATTACH", "a:1,b:2"}}}).value();
  EXPECT_EQ(all.config.attach, (std::vector<std::string>{"a:1", "b:2"}));
  const auto bad = configure({.environment = {{"DOOZERD_ATTACH", "a:1,b"}}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "DOOZERD_ATTACH \"a:1,b\": \"b\": must be HOST:PORT");
  const auto empty = configure({.environment = {{"DOOZERD_ATTACH", "a:1,"}}});
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().message, "DOOZERD_ATTACH \"a:1,\": \"\": must not be empty");
}

TEST(Config, WhatTheOriginalTookAsANumberIsOneInTheFileToo) {
  const auto taken = configure({.file = "pulse = 3\nfill = 0.1\nweb = \":8000\"\n"});
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->warnings.size(), 3U);
}

TEST(Config, GoodValues) {
  const struct {
    const char* key;
    const char* value;
    const char* shown;
  } tests[] = {
      {"timeout", "10", "\"10s\""},
      {"timeout", "1.5h", "\"90m\""},
      {"timeout", "60.0", "\"1m\""},
      {"history", "1", "1"},
      {"history-bytes", "64KiB", "\"64KiB\""},
      {"history-bytes", "1048576", "\"1MiB\""},
      {"listen", ":8046", "\":8046\""},
      {"listen", "[::1]:0", "\"[::1]:0\""},
      {"attach", "db-1.example.org:8046", "[\"db-1.example.org:8046\"]"},
      {"boot", "true", "true"},
      {"boot", "off", "false"},
      {"slots", "32", "32"},
      {"cluster", "a.b-c_9", "\"a.b-c_9\""},
      {"log-format", "json", "\"json\""},
      {"log-level", "debug", "\"debug\""},
      {"data-dir", "/tmp/a \"b\"\n", "\"/tmp/a \\\"b\\\"\\u000A\""},
      {"value-bytes-max", "16MiB", "\"16MiB\""},
      {"frame-complete-max", "100ms", "\"100ms\""},
      {"connections-max", "1", "1"},
  };
  for (const auto& test : tests) {
    const auto configured = configure({.flags = {{test.key, test.value}}});
    ASSERT_TRUE(configured) << test.key << ": " << configured.error().message;
    const Option& option = options()[find_option(test.key).value()];
    EXPECT_EQ(value_text(option, configured->config), test.shown) << test.key;
  }
}

TEST(Config, BadValuesAreNamedWithWhatIsWrong) {
  const struct {
    const char* key;
    const char* value;
    const char* problem;
  } tests[] = {
      {"timeout", "5s", "must be at least 10s"},
      {"timeout", "9.9", "must be at least 10s"},
      {"timeout", "", "must be a number with a unit, such as 500ms, 60s or 5m"},
      {"timeout", "10 s", "must be a number with a unit, such as 500ms, 60s or 5m"},
      {"history", "0", "must be at least 1"},
      {"history", "-5", "must be at least 1"},
      {"history", "5x", "must be a whole number"},
      {"history", "9223372036854775808", "must be at most 9223372036854775807"},
      {"history-bytes", "1KiB", "must be at least 64KiB"},
      {"history-bytes", "256M", "must be a number of bytes with a unit, such as 64KiB or 256MiB"},
      {"slots", "0", "must be at least 1"},
      {"slots", "33", "must be at most 32"},
      {"listen", "", "must not be empty"},
      {"listen", "localhost", "must be HOST:PORT"},
      {"listen", "::1:8046", "an IPv6 address needs brackets: [::1]:8046"},
      {"listen", "[::1]8046", "must be [ADDRESS]:PORT"},
      {"listen", "[]:1", "nothing stands between the brackets"},
      {"listen", "a b:1", "must be HOST:PORT"},
      {"listen", "a:65536", "the port must be from 0 to 65535"},
      {"listen", "a:+1", "the port must be from 0 to 65535"},
      {"attach", "a:0", "the port must be from 1 to 65535"},
      {"attach", "0.0.0.0:1", "must name one host, not every interface"},
      {"advertise", ":8046", "must name one host, not every interface"},
      {"boot-uri", "http://x", "must be like doozer:?ca=HOST:PORT&cn=NAME"},
      {"boot", "maybe", "must be true or false"},
      {"cluster", "", "must not be empty"},
      {"cluster", "a/b", "must be made of letters, digits, '.', '-' and '_'"},
      {"log-format", "xml", "must be one of: auto json text"},
      {"log-format", "", "must be one of: auto json text"},
      {"log-level", "inf", "must be one of: debug info warn error"},
      {"data-dir", "", "must not be empty"},
      {"value-bytes-max", "17MiB", "must be at most 16MiB"},
      {"segment-bytes", "1KiB", "must be at least 64KiB"},
      {"connections-max", "20001", "must be at most 20000"},
      {"frame-complete-max", "1m", "must be at most 30s"},
  };
  for (const auto& test : tests) {
    EXPECT_EQ(problem_of({.flags = {{test.key, test.value}}}),
              "--" + std::string(test.key) + " \"" + test.value + "\": " + test.problem);
  }
}

TEST(Config, AProblemNamesItsSource) {
  EXPECT_EQ(problem_of({.flags = {{"timeout", "5s"}}}), "--timeout \"5s\": must be at least 10s");
  EXPECT_EQ(problem_of({.environment = {{"DOOZERD_TIMEOUT", "5s"}}}),
            "DOOZERD_TIMEOUT \"5s\": must be at least 10s");
  EXPECT_EQ(problem_of({.file = "\n\ntimeout = \"5s\"\n"}),
            "doozerd.toml:3: timeout \"5s\": must be at least 10s");
}

TEST(Config, EveryProblemIsToldAndAnOverriddenOneToo) {
  EXPECT_EQ(problem_of({.flags = {{"timeout", "20s"}, {"slots", "0"}},
                        .environment = {{"DOOZERD_TIMEOUT", "x"}},
                        .file = "histroy = 5\n"}),
            "--slots \"0\": must be at least 1\n"
            "DOOZERD_TIMEOUT \"x\": must be a number with a unit, such as 500ms, 60s or 5m\n"
            "doozerd.toml:1: \"histroy\": unknown setting; did you mean \"history\"?");
}

TEST(Config, ManyProblemsAreCounted) {
  std::string file;
  for (int i = 0; i < 60; ++i) file += "zzzzzzzzzz" + std::to_string(i) + " = 1\n";
  const std::string problem = problem_of({.file = file});
  EXPECT_NE(problem.find("\nand 10 more"), std::string::npos) << problem;
}

TEST(ConfigFile, UnknownKeysAreErrorsWithTheNearestKnownOne) {
  const struct {
    const char* key;
    const char* suggestion;
  } tests[] = {{"lisen", "; did you mean \"listen\"?"},
               {"datadir", "; did you mean \"data-dir\"?"},
               {"data_dir", "; did you mean \"data-dir\"?"},
               {"hist", "; did you mean \"history\"?"},
               {"tls-crt", "; did you mean \"tls-cert\"?"},
               {"rwsecret", ""},
               {"x-y-z", ""}};
  for (const auto& test : tests) {
    EXPECT_EQ(
        problem_of({.file = std::string(test.key) + " = 1\n"}),
        "doozerd.toml:1: \"" + std::string(test.key) + "\": unknown setting" + test.suggestion);
  }
}

TEST(ConfigFile, WrongTypesAreErrors) {
  const struct {
    const char* text;
    const char* problem;
  } tests[] = {
      {"boot = \"true\"", "boot: must be true or false, without quotes, not \"true\""},
      {"boot = 1", "boot: must be true or false, without quotes, not 1"},
      {"history = \"5\"", "history: must be a whole number, without quotes, not \"5\""},
      {"history = 5.0", "history: must be a whole number, without quotes, not 5.0"},
      {"listen = 8046", "listen: must be a string, not 8046"},
      {"listen = [\"a:1\"]", "listen: must be a string, not an array"},
      {"attach = \"a:1\"", "attach: must be an array of strings, not \"a:1\""},
      {"attach = [\"a:1\", 2]", "attach: must be an array of strings, not 2"},
      {"log-level = true", "log-level: must be a string, not true"},
      {"timeout = 60.5",
       "timeout: must be a string with a unit, such as \"60s\", or a number of seconds, not 60.5"},
      {"history-bytes = true",
       "history-bytes: must be a string with a unit, such as \"256MiB\", or a number of bytes, not "
       "true"},
      {"timeout = 1979-05-27",
       "timeout: must be a string with a unit, such as \"60s\", or a number of seconds, not a date "
       "or time"},
      {"cluster = { a = 1 }", "cluster: must be a string, not a table"},
  };
  for (const auto& test : tests) {
    EXPECT_EQ(problem_of({.file = test.text}), "doozerd.toml:1: " + std::string(test.problem));
  }
}

TEST(ConfigFile, WhatIsNoTomlIsToldWithItsLine) {
  for (const char* text : {"\nlisten = ", "\nlisten 5", "a = 1\na = 1", "\n[", "\nx = \"abc"}) {
    const std::string problem = problem_of({.file = text});
    EXPECT_TRUE(problem.starts_with("doozerd.toml:2: ")) << problem;
  }
}

TEST(ConfigFile, ActionsHaveNoPlaceInIt) {
  EXPECT_EQ(problem_of({.file = "recover-alone = true\n"}),
            "doozerd.toml:1: recover-alone: may only be given on the command line");
  EXPECT_EQ(problem_of({.file = "config = \"x\"\n"}),
            "doozerd.toml:1: config: may only be given on the command line or as DOOZERD_CONFIG");
}

TEST(ConfigFile, BareNumbersAreSecondsAndBytes) {
  const Configured configured =
      configure({.file = "timeout = 20\nhistory-bytes = 131072\nboot = true\n"}).value();
  EXPECT_EQ(configured.config.timeout_us, 20'000'000U);
  EXPECT_EQ(configured.config.history_bytes, 131'072U);
  EXPECT_TRUE(configured.config.boot);
}

TEST(ConfigEnvironment, UnknownNamesWarnEmptyOnesCountAsNone) {
  const Configured configured = configure({.environment = {{"DOOZERD_FOO", "1"},
                                                           {"DOOZERD_HELP", "1"},
                                                           {"DOOZERD_RECOVER_ALONE", "1"},
                                                           {"DOOZERD_LISTEN", ""},
                                                           {"PATH", "/bin"}}})
                                    .value();
  EXPECT_EQ(
      configured.warnings,
      (std::vector<std::string>{"environment DOOZERD_FOO: no such setting, ignored",
                                "environment DOOZERD_HELP: no such setting, ignored",
                                "environment DOOZERD_RECOVER_ALONE: no such setting, ignored"}));
  EXPECT_EQ(source_of(configured, "listen").kind, ConfigSource::Kind::standard);
}

TEST(ConfigEnvironment, EverySettingHasAName) {
  for (const Option& option : options()) {
    if (option.target.index() == 0 || option.kind == OptionKind::flag) continue;
    const std::string text = default_text(option);
    if (text.empty()) continue;
    const Configured configured =
        configure({.environment = {{environment_name(option.name), text}}}).value();
    EXPECT_EQ(source_of(configured, option.name).to_string(),
              "environment " + environment_name(option.name));
  }
  EXPECT_EQ(environment_name("data-dir"), "DOOZERD_DATA_DIR");
}

TEST(ConfigEnvironment, TheOriginalsBootUriGivesWayToOurs) {
  const Environment both = {{"DOOZERD_BOOT_URI", "doozer:?ca=b:1"},
                            {"DOOZER_BOOT_URI", "doozer:?ca=a:1"}};
  EXPECT_EQ(configure({.environment = {both[1]}}).value().config.boot_uri, "doozer:?ca=a:1");
  EXPECT_EQ(configure({.environment = both}).value().config.boot_uri, "doozer:?ca=b:1");
}

TEST(ConfigSecrets, AreTakenFromTheEnvironmentAndOnlyTheReadOnlyOneIsAnError) {
  const Configured none = configure({}).value();
  EXPECT_EQ(none.secrets.read_write, "");
  const Configured both =
      configure({.environment = {{"DOOZER_RWSECRET", "w"}, {"DOOZER_ROSECRET", "r"}}}).value();
  EXPECT_EQ(both.secrets.read_write, "w");
  EXPECT_EQ(both.secrets.read_only, "r");
  EXPECT_EQ(configure({.environment = {{"DOOZER_RWSECRET", "w"}}}).value().secrets.read_only, "");
  EXPECT_EQ(problem_of({.environment = {{"DOOZER_ROSECRET", "hush"}}}),
            "DOOZER_ROSECRET is set, DOOZER_RWSECRET is not: anyone could write");
  EXPECT_EQ(problem_of({.environment = {{"DOOZER_RWSECRET", "x"}, {"DOOZER_ROSECRET", "x"}}}),
            "DOOZER_ROSECRET and DOOZER_RWSECRET are the same: readers could write");
}

TEST(ConfigSecrets, AreNeverShown) {
  const Configured configured =
      configure({.flags = {{"boot-uri", "doozer:?ca=a:1&sk=hush&cn=x"}},
                 .environment = {{"DOOZER_RWSECRET", "hush"}, {"DOOZER_ROSECRET", "hush2"}}})
          .value();
  const std::string printed = print_config(configured);
  EXPECT_EQ(printed.find("hush"), std::string::npos) << printed;
  EXPECT_NE(printed.find("doozer:?ca=a:1&sk=***&cn=x"), std::string::npos) << printed;
  EXPECT_EQ(configured.config.boot_uri, "doozer:?ca=a:1&sk=hush&cn=x");
  EXPECT_EQ(problem_of({.flags = {{"boot-uri", "doozer:sk=hush?sk=hush"}}}).find("?sk=hush"),
            std::string::npos);
}

TEST(Config, ValuesThatDoNotGoTogether) {
  const struct {
    std::vector<std::pair<std::string, std::string>> flags;
    const char* problem;
  } tests[] = {
      {{{"tls-cert", "c"}}, "tls-cert is set, tls-key is not: TLS needs both"},
      {{{"tls-key", "k"}}, "tls-key is set, tls-cert is not: TLS needs both"},
      {{{"peer-ca", "p"}},
       "peer-ca is set, tls-cert is not: peers prove themselves with certificates both ways"},
      {{{"tls-cert", "c"}, {"tls-key", "k"}, {"peer-ca", "p"}, {"insecure-peers", "true"}},
       "peer-ca and insecure-peers exclude each other"},
      {{{"boot", "true"}, {"boot-uri", "doozer:?ca=a:1"}},
       "boot and boot-uri exclude each other: the name service decides who boots"},
      {{{"segment-bytes", "1MiB"}},
       "segment-bytes 1MiB: must be at least 1152KiB, value-bytes-max and 128KiB"},
      {{{"segment-bytes", "256KiB"}, {"value-bytes-max", "128KiB"}}, "(none)"},
      {{{"tls-cert", "c"}, {"tls-key", "k"}, {"peer-ca", "p"}}, "(none)"},
      {{{"boot", "true"}, {"attach", "a:1"}}, "(none)"},
  };
  for (const auto& test : tests) EXPECT_EQ(problem_of({.flags = test.flags}), test.problem);
}

TEST(Config, WhatHasNoEffectWarns) {
  const Configured configured =
      configure({.flags = {{"pulse", "1"}, {"fill", "0.1"}, {"web", ":8000"}}}).value();
  EXPECT_EQ(configured.warnings,
            (std::vector<std::string>{
                "--pulse: accepted without effect: nothing is written in the background",
                "--fill: accepted without effect: the log has no holes to fill",
                "--web: accepted without effect: there is no web view yet"}));
}

TEST(Config, AWildcardAddressWithoutAnAdvertisedOneWarns) {
  EXPECT_EQ(configure({.flags = {{"listen", "0.0.0.0:8046"}}}).value().warnings.size(), 1U);
  EXPECT_TRUE(configure({.flags = {{"listen", "0.0.0.0:8046"}, {"advertise", "a:8046"}}})
                  .value()
                  .warnings.empty());
}

TEST(Config, Loopback) {
  for (const char* address : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"}) {
    EXPECT_TRUE(is_loopback_address(address)) << address;
  }
  for (const char* address :
       {"127.example.org:1", "127.0.0.1.example.org:1", "127.0.0:1", "127.0.0.256:1", "127.0.0.1",
        "0.0.0.0:1", ":1", "[::]:1", "10.0.0.1:1", "[::1", "localhost.example.org:1", ""}) {
    EXPECT_FALSE(is_loopback_address(address)) << address;
  }
  for (const char* address : {":1", "0.0.0.0:1", "[::]:1"}) EXPECT_TRUE(is_wildcard(address));
  for (const char* address : {"127.0.0.1:1", "", "x"}) EXPECT_FALSE(is_wildcard(address));
}

TEST(OptionsTable, NamesLettersAndOriginalsAreUnique) {
  std::vector<std::string_view> seen;
  const auto add = [&seen](std::string_view name) {
    EXPECT_EQ(std::count(seen.begin(), seen.end(), name), 0) << name;
    seen.push_back(name);
  };
  for (const Option& option : options()) {
    add(option.name);
    if (!option.original.empty()) add(option.original);
    if (option.letter != '\0') add(std::string_view(&option.letter, 1));
    EXPECT_FALSE(option.help.ends_with('.')) << option.name;
    EXPECT_EQ(option.kind == OptionKind::flag, option.value_name.empty()) << option.name;
  }
}

TEST(PrintConfig, Golden) {
  const Configured configured = configure({{{"history", "5"}, {"attach", "b:1"}, {"attach", "c:2"}},
                                           {{"DOOZERD_LOG_FORMAT", "json"}},
                                           "\ntimeout = 90\n"})
                                    .value();
  EXPECT_EQ(print_config(configured),
            R"(listen = "127.0.0.1:8046"            # default
# advertise = ""                     # default
# peer-listen = ""                   # default
attach = ["b:1", "c:2"]              # flag --attach
# boot-uri = ""                      # default
boot = false                         # default
slots = 1                            # default
cluster = "local"                    # default
data-dir = "./data"                  # default
history = 5                          # flag --history
history-bytes = "256MiB"             # default
segment-bytes = "64MiB"              # default
disk-reserve-bytes = "16MiB"         # default
snapshot-log-bytes = "64MiB"         # default
trust-log = 0                        # default
timeout = "90s"                      # doozerd.toml:2
never-lead = false                   # default
insecure-peers = false               # default
# peer-ca = ""                       # default
# tls-cert = ""                      # default
# tls-key = ""                       # default
log-format = "json"                  # environment DOOZERD_LOG_FORMAT
log-level = "info"                   # default
value-bytes-max = "1MiB"             # default
connections-max = 20000              # default
connections-per-address-max = 20000  # default
outstanding-requests-max = 1024      # default
waits-per-connection-max = 16384     # default
frame-complete-max = "30s"           # default
unsent-stall-max = "30s"             # default
)");
}

TEST(PrintConfig, IsItselfAFileThatGivesTheSame) {
  const Given given = {.flags = {{"history", "5"},
                                 {"attach", "b:1"},
                                 {"data-dir", "a\"\\\nb"},
                                 {"boot", "true"},
                                 {"timeout", "90s"}}};
  const std::string printed = print_config(configure(given).value());
  const Configured again = configure({.file = printed}).value();
  for (const Option& option : options()) {
    EXPECT_EQ(value_text(option, again.config), value_text(option, configure(given).value().config))
        << option.name;
  }
}

}  // namespace
}  // namespace doozer::server
