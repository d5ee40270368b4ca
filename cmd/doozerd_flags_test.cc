#include "cmd/doozerd_flags.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "server/options_table.h"

namespace doozer::cmd {
namespace {

using Words = std::vector<std::string>;

Result<std::string> no_file(const std::string& path) {
  return fail(Code::not_found, "file \"" + path + "\": cannot be opened");
}

Result<Invocation> parse(const Words& words, const server::Environment& environment = {},
                         const FileReader& read_file = no_file) {
  std::vector<const char*> argv = {"doozerd"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_command_line(static_cast<int>(argv.size()), argv.data(), environment, read_file);
}

std::string problem_of(const Words& words) {
  const auto parsed = parse(words);
  return parsed ? "(none)" : parsed.error().message;
}

TEST(DoozerdFlags, EveryWordOfTheOriginalIsUnderstood) {
  const struct {
    Words words;
    const char* option;
    const char* value;
  } tests[] = {
      {{"-l", "127.0.0.1:9"}, "listen", "\"127.0.0.1:9\""},
      {{"-l=127.0.0.1:9"}, "listen", "\"127.0.0.1:9\""},
      {{"-l127.0.0.1:9"}, "listen", "\"127.0.0.1:9\""},
      {{"--l", "127.0.0.1:9"}, "listen", "\"127.0.0.1:9\""},
      {{"--listen=127.0.0.1:9"}, "listen", "\"127.0.0.1:9\""},
      {{"--listen", "127.0.0.1:9"}, "listen", "\"127.0.0.1:9\""},
      {{"-listen", "127.0.0.1:9"}, "listen", "\"127.0.0.1:9\""},
      {{"-a", "a:1", "-a=b:2", "--attach", "c:3"}, "attach", "[\"a:1\", \"b:2\", \"c:3\"]"},
      {{"-b", "doozer:?ca=a:1"}, "boot-uri", "\"doozer:?ca=a:1\""},
      {{"-c", "x"}, "cluster", "\"x\""},
      {{"-hist", "5"}, "history", "5"},
      {{"-hist=5"}, "history", "5"},
      {{"--hist", "5"}, "history", "5"},
      {{"--hist=5"}, "history", "5"},
      {{"--history", "5", "-hist", "6"}, "history", "6"},
      {{"-timeout", "60"}, "timeout", "\"1m\""},
      {{"-timeout=60.5"}, "timeout", "\"60500ms\""},
      {{"--timeout", "90s"}, "timeout", "\"90s\""},
      {{"-tlscert", "c", "-tlskey", "k"}, "tls-cert", "\"c\""},
      {{"-tlscert", "c", "-tlskey", "k"}, "tls-key", "\"k\""},
      {{"--boot"}, "boot", "true"},
      {{"-boot"}, "boot", "true"},
      {{"--boot=false"}, "boot", "false"},
      {{"--boot", "--boot"}, "boot", "true"},
      {{"--data-dir", "[a,b]"}, "data-dir", "\"[a,b]\""},
      {{"--data-dir", "-hist"}, "data-dir", "\"-hist\""},
      {{"--data-dir", "a=b c"}, "data-dir", "\"a=b c\""},
      {{"--data-dir=\"q\""}, "data-dir", "\"\\\"q\\\"\""},
  };
  for (const auto& test : tests) {
    const auto parsed = parse(test.words);
    ASSERT_TRUE(parsed) << test.words[0] << ": " << parsed.error().message;
    const server::Option& option = server::options()[server::find_option(test.option).value()];
    EXPECT_EQ(server::value_text(option, parsed->configured.config), test.value) << test.words[0];
  }
}

TEST(DoozerdFlags, TheOriginalsWordsWithoutEffectWarn) {
  const auto parsed = parse({"-pulse", "3600", "-fill=0.1", "-w", ":8000"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->configured.warnings.size(), 3U);
  EXPECT_EQ(parsed->action, Action::run);
}

TEST(DoozerdFlags, WhatIsWrongIsNamed) {
  const struct {
    Words words;
    const char* problem;
  } tests[] = {
      {{"--timeout", "5s"}, "--timeout \"5s\": must be at least 10s"},
      {{"-timeout=5"}, "--timeout \"5\": must be at least 10s"},
      {{"-hist", "-5"}, "--history \"-5\": must be at least 1"},
      {{"--lisen", "x:1"},
       "--lisen: unknown flag; did you mean \"--listen\"?\n\"x:1\": unexpected argument"},
      {{"--lisen=x:1"}, "--lisen: unknown flag; did you mean \"--listen\"?"},
      {{"-x"}, "-x: unknown flag; see --help"},
      {{"start"}, "\"start\": unexpected argument"},
      {{"--", "start"}, "\"start\": unexpected argument"},
      {{"--listen"}, "--listen: needs a value, HOST:PORT"},
      {{"-l"}, "--listen: needs a value, HOST:PORT"},
      {{"--data-dir="}, "--data-dir \"\": must not be empty"},
      {{"--data-dir", ""}, "--data-dir \"\": must not be empty"},
      {{"--boot=maybe"}, "--boot \"maybe\": must be true or false"},
      {{"--tls-cert", "c"}, "tls-cert is set, tls-key is not: TLS needs both"},
      {{"--yes"}, "--yes: means nothing without --recover-alone"},
      {{"--config", "gone.toml"}, "--config: file \"gone.toml\": cannot be opened"},
  };
  for (const auto& test : tests) EXPECT_EQ(problem_of(test.words), test.problem);
  const auto parsed = parse({}, {{"DOOZERD_CONFIG", "gone.toml"}});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message, "DOOZERD_CONFIG: file \"gone.toml\": cannot be opened");
}

TEST(DoozerdFlags, AFileThatCannotBeReadTellsTheReason) {
  EXPECT_EQ(read_text_file("/nowhere/x").error().message,
            "file \"/nowhere/x\": cannot be opened: No such file or directory");
  EXPECT_EQ(read_text_file("/").error().message, "file \"/\": cannot be read: Is a directory");
}

TEST(DoozerdFlags, Actions) {
  const struct {
    Words words;
    Action action;
  } tests[] = {
      {{}, Action::run},
      {{"--help"}, Action::help},
      {{"-h"}, Action::help},
      {{"--version"}, Action::version},
      {{"-v"}, Action::version},
      {{"-hist", "5", "--print-config"}, Action::print_config},
      {{"--check-config"}, Action::check_config},
      {{"--check-config=false"}, Action::run},
      {{"--recover-alone"}, Action::recover_alone},
      {{"--recover-alone", "--yes"}, Action::recover_alone},
      {{"--print-man"}, Action::print_man},
      {{"--help", "--print-config"}, Action::help},
  };
  for (const auto& test : tests) {
    const auto parsed = parse(test.words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->action, test.action);
  }
  EXPECT_FALSE(parse({"--recover-alone"})->recover_for_real);
  EXPECT_TRUE(parse({"--recover-alone", "--yes"})->recover_for_real);
  EXPECT_EQ(action_output(parse({}).value()), "");
  EXPECT_EQ(action_output(parse({"-v"}).value()), version_text());
}

TEST(DoozerdFlags, HelpIsGivenEvenWhenTheEnvironmentIsWrong) {
  const auto parsed = parse({"--help"}, {{"DOOZERD_TIMEOUT", "x"}});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->action, Action::help);
  EXPECT_FALSE(parse({"--print-config"}, {{"DOOZERD_TIMEOUT", "x"}}));
}

TEST(DoozerdFlags, TheFileComesFromTheFlagElseTheEnvironment) {
  const FileReader reader = [](const std::string& path) -> Result<std::string> {
    return path == "flag.toml" ? "history = 1\n" : "history = 2\n";
  };
  const server::Environment environment = {{"DOOZERD_CONFIG", "env.toml"}};
  const auto history = [&](const Words& words, const server::Environment& env) {
    return parse(words, env, reader).value().configured.config.history;
  };
  EXPECT_EQ(history({}, {}), 360'000U);
  EXPECT_EQ(history({}, environment), 2U);
  EXPECT_EQ(history({"--config", "flag.toml"}, environment), 1U);
  EXPECT_EQ(history({"--config", "flag.toml", "-hist", "9"}, environment), 9U);
}

TEST(DoozerdFlags, CheckConfigLooksForTheFilesThatItNames) {
  EXPECT_EQ(problem_of({"--check-config", "--tls-cert", "c.pem", "--tls-key", "k.pem"}),
            "--tls-cert: file \"c.pem\": cannot be opened");
  const auto by_environment =
      parse({"--check-config", "--tls-cert", "c.pem", "--tls-key", "k.pem"},
            {{"DOOZERD_PEER_CA", "ca.pem"}}, [](const std::string& path) -> Result<std::string> {
              return path == "ca.pem" ? no_file(path) : std::string();
            });
  ASSERT_FALSE(by_environment);
  EXPECT_EQ(by_environment.error().message, "DOOZERD_PEER_CA: file \"ca.pem\": cannot be opened");
  const auto by_file = parse({"--check-config", "--config=d.toml"}, {},
                             [](const std::string& path) -> Result<std::string> {
                               if (path != "d.toml") return no_file(path);
                               return "tls-key = \"k\"\ntls-cert = \"c\"\n";
                             });
  ASSERT_FALSE(by_file);
  EXPECT_EQ(by_file.error().message, "d.toml:2: tls-cert: file \"c\": cannot be opened");
  EXPECT_EQ(problem_of({"--print-config", "--tls-cert", "c.pem", "--tls-key", "k.pem"}), "(none)");
}

TEST(DoozerdFlags, PrintConfigTellsEachSource) {
  const FileReader reader = [](const std::string&) -> Result<std::string> {
    return "\nslots = 3\n";
  };
  const auto parsed = parse({"--print-config", "--config=/etc/d.toml", "-hist=5"},
                            {{"DOOZERD_CLUSTER", "x"}}, reader);
  const std::string text = action_output(parsed.value());
  for (const char* part : {"slots = 3 ", "# /etc/d.toml:2\n", "history = 5 ", "# flag --history\n",
                           "cluster = \"x\" ", "# environment DOOZERD_CLUSTER\n", "# default\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST(DoozerdFlags, HelpNamesEveryOptionAndFitsATerminal) {
  const std::string text = help_text();
  for (const server::Option& option : server::options()) {
    EXPECT_EQ(text.find("--" + std::string(option.name)) == std::string::npos, option.hidden)
        << option.name;
  }
  size_t start = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', start)) {
    EXPECT_LE(end - start, 132U) << text.substr(start, end - start);
    start = end + 1;
  }
}

TEST(DoozerdFlags, TheManualPageInTheTreeIsTheOneMadeFromTheTable) {
  // DOOZER_UPDATE_GOLDEN=1 writes it anew.
  if (std::getenv("DOOZER_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(DOOZERD_MAN_PAGE, std::ios::binary) << man_page();
  }
  const auto kept = read_text_file(DOOZERD_MAN_PAGE);
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(*kept, man_page()) << "run this test with DOOZER_UPDATE_GOLDEN=1";
}

TEST(DoozerdFlags, ReadsTheProcessEnvironment) {
  const char* const strings[] = {"A=1", "B=x=y", "no_equals", "C=", nullptr};
  EXPECT_EQ(read_environment(strings), (server::Environment{{"A", "1"}, {"B", "x=y"}, {"C", ""}}));
  EXPECT_TRUE(read_environment(nullptr).empty());
}

}  // namespace
}  // namespace doozer::cmd
