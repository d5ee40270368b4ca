// doozer-sim: runs simulated worlds and says what they came to. `doozer-sim --help` tells how.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "sim/checkers/patterns.h"
#include "sim/doozer_sim_batch.h"
#include "sim/history_text.h"
#include "sim/plan_draw.h"
#include "sim/shrink.h"

namespace doozer::sim {
namespace {

constexpr const char* kHelp =
    "usage: doozer-sim [WHAT] [HOW]\n"
    "Runs a simulated cluster with its clients, hurts it, and checks what was promised.\n"
    "\n"
    "What to run:\n"
    "  --seed N              the plan drawn from a seed (default 1)\n"
    "  --seeds A..B          those of all seeds from A to B\n"
    "  --plan FILE           a plan from a file (docs/simulation.md)\n"
    "  --named NAME          a plan with a name; `all` runs each with 3, 5 and 7 servers;\n"
    "                        with --seeds, those of the seeds follow\n"
    "  --servers N           3, 5 or 7, for --named (default 3)\n"
    "  --list                the names\n"
    "How:\n"
    "  --print               print the plan and do not run it\n"
    "  --trace               tell what happens, event by event\n"
    "  --history FILE        with --trace: write what clients and servers saw (doozer-check)\n"
    "  --shrink              cut a failing plan down; print the rest and keep it in a file\n"
    "  --jobs N              so many at a time (default 1)\n"
    "  --twice               run each a second time and compare (--seeds: every eighth is anyway)\n"
    "  --keep-going          go on after a failure\n"
    "  --digests             one line for each run: seed, last draw, digest\n"
    "  --probes              how often each rare place was reached\n"
    "  --require-probes FILE fail if a place that the file names was never reached\n"
    "\n"
    "Exit status: 0 all held, 1 something did not, 2 the command line is wrong.\n";

constexpr uint64_t kShrinkTries = 400;
constexpr uint64_t kTwiceEach = 8;
constexpr uint64_t kRunsThatProve = 20;  ///< fewer are not judged by how often clients met

struct Options {
  bool seeds = false;  ///< given
  uint64_t first = 1;
  uint64_t last = 1;
  std::string plan_file = {};
  std::string named = {};
  uint64_t servers = 3;
  bool list = false;
  bool print = false;
  bool trace = false;
  bool shrink = false;
  bool twice = false;
  bool keep_going = false;
  bool digests = false;
  bool probes = false;
  unsigned jobs = 1;
  std::string probes_file = {};
  std::string history_file = {};
};

[[noreturn]] void usage_error(const std::string& what) {
  std::fprintf(stderr, "doozer-sim: %s\nTry: doozer-sim --help\n", what.c_str());
  std::exit(2);
}

uint64_t number_of(std::string_view option, std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    usage_error(std::string(option) + " " + quote(text) + ": not a number");
  }
  return value;
}

Options parse_options(const std::vector<std::string>& words) {
  Options options;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& option = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) usage_error(option + ": its value is missing");
      return words[++i];
    };
    if (option == "--help") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    } else if (option == "--seed") {
      options.first = options.last = number_of(option, value());
    } else if (option == "--seeds") {
      const std::string& range = value();
      const size_t dots = range.find("..");
      if (dots == std::string::npos) usage_error("--seeds " + quote(range) + ": not A..B");
      options.first = number_of(option, range.substr(0, dots));
      options.last = number_of(option, range.substr(dots + 2));
      options.seeds = true;
      if (options.last < options.first) usage_error("--seeds " + quote(range) + ": none");
    } else if (option == "--plan") {
      options.plan_file = value();
    } else if (option == "--named") {
      options.named = value();
    } else if (option == "--servers") {
      options.servers = number_of(option, value());
    } else if (option == "--jobs") {
      options.jobs = static_cast<unsigned>(std::max<uint64_t>(number_of(option, value()), 1));
    } else if (option == "--require-probes") {
      options.probes_file = value();
    } else if (option == "--history") {
      options.history_file = value();
    } else if (option == "--list") {
      options.list = true;
    } else if (option == "--print") {
      options.print = true;
    } else if (option == "--trace") {
      options.trace = true;
    } else if (option == "--shrink") {
      options.shrink = true;
    } else if (option == "--twice") {
      options.twice = true;
    } else if (option == "--keep-going") {
      options.keep_going = true;
    } else if (option == "--probes") {
      options.probes = true;
    } else if (option == "--digests") {
      options.digests = true;
    } else {
      usage_error(quote(option) + " is no option");
    }
  }
  return options;
}

std::string read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) usage_error("cannot read " + quote(path));
  std::string content;
  char bytes[4096];
  for (size_t got = 0; (got = std::fread(bytes, 1, sizeof bytes, file)) > 0;) {
    content.append(bytes, got);
  }
  std::fclose(file);
  return content;
}

void write_file(const std::string& path, const std::string& content) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) usage_error("cannot write " + quote(path));
  std::fwrite(content.data(), 1, content.size(), file);
  std::fclose(file);
}

template <typename T>
T or_usage_error(const std::string& where, Result<T> result) {
  if (!result) usage_error(where + result.error().message);
  return std::move(*result);
}

/// One thing to run, and the words of the command line that run it again.
struct Job {
  Plan plan;
  std::string command;
};

void add_named(const Options& options, std::vector<Job>& jobs) {
  const bool all = options.named == "all";
  const std::vector<uint64_t> counts =
      all ? std::vector<uint64_t>{3, 5, 7} : std::vector<uint64_t>{options.servers};
  for (const uint64_t servers : counts) {
    for (const std::string_view name : plan_names()) {
      if (!all && name != options.named) continue;
      jobs.push_back({or_usage_error("", named_plan(name, servers, options.first)),
                      "--named " + std::string(name) + " --servers " + std::to_string(servers) +
                          " --seed " + std::to_string(options.first)});
    }
  }
  if (jobs.empty()) usage_error("--named " + quote(options.named) + ": see --list");
}

std::vector<Job> jobs_of(const Options& options) {
  std::vector<Job> jobs;
  if (!options.plan_file.empty()) {
    const std::string text = read_file(options.plan_file);
    jobs.push_back({or_usage_error(options.plan_file + ": ", parse_plan(text)),
                    "--plan " + options.plan_file});
    return jobs;
  }
  if (!options.named.empty()) add_named(options, jobs);
  if (!options.named.empty() && !options.seeds) return jobs;
  for (uint64_t seed = options.first;; ++seed) {
    jobs.push_back({draw_plan(seed), "--seed " + std::to_string(seed)});
    if (seed == options.last) return jobs;
  }
}

void tell_failure(const Job& job, const std::vector<std::string>& failures) {
  std::printf("FAILED doozer-sim %s\n", job.command.c_str());
  for (const std::string& failure : failures) std::printf("  %s\n", failure.c_str());
  std::printf("  to see it happen: doozer-sim %s --trace\n", job.command.c_str());
}

void shrink_and_keep(const Job& job) {
  std::printf("  shrinking, at most %llu runs ...\n",
              static_cast<unsigned long long>(kShrinkTries));
  const Plan small = shrink_plan(
      job.plan, [](const Plan& plan) { return !run_child(plan, false).ok(); }, kShrinkTries);
  const std::string path = "doozer-sim-" + std::to_string(small.seed) + ".plan";
  std::printf("%s", to_string(small).c_str());
  write_file(path, to_string(small));
  std::printf("  kept: doozer-sim --plan %s --trace\n", path.c_str());
}

/// The one run whose story is told; in this process, so that its last words come in order.
int run_traced(const Job& job, const std::string& history_file) {
  std::printf("%s\n", to_string(job.plan).c_str());
  Timeline timeline([](std::string_view line) {
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  });
  History history;
  const RunResult result = run_plan(job.plan, timeline, &history);
  if (!history_file.empty()) write_file(history_file, to_text(history));
  std::printf("last draw %016llx, digest %016llx\n",
              static_cast<unsigned long long>(result.last_draw),
              static_cast<unsigned long long>(result.digest));
  if (result.failures.empty()) return 0;
  tell_failure(job, result.failures);
  return 1;
}

struct Totals {
  uint64_t runs = 0;
  uint64_t failed = 0;
  RunResult sum = {};
  std::map<std::string, uint64_t> probes = {};

  void add(const ChildVerdict& verdict) {
    ++runs;
    failed += verdict.ok() ? 0 : 1;
    sum.virtual_us += verdict.result.virtual_us;
    sum.ok += verdict.result.ok;
    sum.refused += verdict.result.refused;
    sum.unknown += verdict.result.unknown;
    sum.owed += verdict.result.owed;
    sum.pieces += verdict.result.pieces;
    sum.on_shared_files += verdict.result.on_shared_files;
    sum.overlapped += verdict.result.overlapped;
    sum.linear_unknown += verdict.result.linear_unknown;
    for (const auto& [name, count] : verdict.probes) probes[name] += count;
  }
};

void tell_totals(const Totals& totals, double seconds) {
  const double virtual_s = static_cast<double>(totals.sum.virtual_us) / 1e6;
  std::printf(
      "%llu runs, %llu failed; %.0f s of virtual time in %.1f s, %.0f times as fast; %llu "
      "operations answered, %llu refused, %llu unknown; service owed and seen %llu times\n",
      static_cast<unsigned long long>(totals.runs), static_cast<unsigned long long>(totals.failed),
      virtual_s, seconds, virtual_s / seconds, static_cast<unsigned long long>(totals.sum.ok),
      static_cast<unsigned long long>(totals.sum.refused),
      static_cast<unsigned long long>(totals.sum.unknown),
      static_cast<unsigned long long>(totals.sum.owed));
}

/// Many runs in which clients hardly met on a file would prove little.
bool met_enough(const Totals& totals) {
  const Overlap met{.operations = totals.sum.on_shared_files, .overlapped = totals.sum.overlapped};
  std::printf(
      "%llu of %llu operations on shared files overlapped; the search came to no end for "
      "%llu files\n",
      static_cast<unsigned long long>(met.overlapped),
      static_cast<unsigned long long>(met.operations),
      static_cast<unsigned long long>(totals.sum.linear_unknown));
  if (totals.runs < kRunsThatProve || met.proves_something()) return true;
  std::printf("FAILED: under a fifth of them, which proves too little\n");
  return false;
}

/// The number of places of the file that nobody reached.
uint64_t missing_probes(const std::string& path, const Totals& totals) {
  const std::string text = read_file(path);
  uint64_t missing = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string name = text.substr(at, end - at);
    at = end + 1;
    if (name.empty() || name.starts_with('#')) continue;
    const auto found = totals.probes.find(name);
    if (found != totals.probes.end() && found->second > 0) continue;
    std::printf("FAILED: no run reached \"%s\" (%s)\n", name.c_str(), path.c_str());
    ++missing;
  }
  return missing;
}

int run_all(const Options& options, const std::vector<Job>& jobs) {
  const auto began = std::chrono::steady_clock::now();
  Totals totals;
  run_batch(
      jobs.size(), options.jobs, [&](uint64_t i) { return jobs[i].plan; },
      [&](uint64_t i) { return options.twice || (jobs.size() > 1 && i % kTwiceEach == 0); },
      [&](uint64_t i, const ChildVerdict& verdict) {
        totals.add(verdict);
        if (options.digests || jobs.size() == 1) {
          std::printf("%s: last draw %016llx, digest %016llx\n", jobs[i].command.c_str(),
                      static_cast<unsigned long long>(verdict.result.last_draw),
                      static_cast<unsigned long long>(verdict.result.digest));
        }
        if (verdict.ok()) return true;
        tell_failure(jobs[i], verdict.failures);
        std::fflush(stdout);
        if (options.shrink) shrink_and_keep(jobs[i]);
        return options.keep_going;
      });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  tell_totals(totals, took.count());
  if (options.probes) {
    for (const auto& [name, count] : totals.probes) {
      std::printf("%10llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
    }
  }
  bool good = totals.failed == 0;
  good = met_enough(totals) && good;
  if (!options.probes_file.empty()) good = missing_probes(options.probes_file, totals) == 0 && good;
  return good ? 0 : 1;
}

int run(const Options& options) {
  if (options.list) {
    for (const std::string_view name : plan_names()) std::printf("%s\n", std::string(name).c_str());
    return 0;
  }
  const std::vector<Job> jobs = jobs_of(options);
  if (options.print) {
    for (const Job& job : jobs) {
      std::printf("# doozer-sim %s\n%s", job.command.c_str(), to_string(job.plan).c_str());
    }
    return 0;
  }
  if (options.trace && jobs.size() == 1) return run_traced(jobs.front(), options.history_file);
  return run_all(options, jobs);
}

}  // namespace
}  // namespace doozer::sim

int main(int argc, char** argv) {
  return doozer::sim::run(
      doozer::sim::parse_options(std::vector<std::string>(argv + 1, argv + argc)));
}
