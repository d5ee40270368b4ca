#include "server/config.h"

#include "base/bytes.h"
#include "base/check.h"
#include "server/options_table.h"

namespace doozer::server {
namespace {

constexpr std::string_view kPrefix = "DOOZERD_";
constexpr std::string_view kBootUriName = "DOOZER_BOOT_URI";
constexpr size_t kProblemsMax = 50;  // a file of rubbish must not print itself back

// What the user wrote, as an error names it: `--timeout`, `DOOZERD_TIMEOUT`, `x.toml:3: timeout`.
std::string subject(const ConfigSource& source, std::string_view key) {
  if (source.kind == ConfigSource::Kind::file) return source.name + ": " + std::string(key);
  return source.name.empty() ? std::string(key) : source.name;
}

bool may_set(OptionSetting setting, ConfigSource::Kind kind) {
  switch (setting) {
    case OptionSetting::everywhere: return true;
    case OptionSetting::flag_or_env: return kind != ConfigSource::Kind::file;
    case OptionSetting::flag_only: return kind == ConfigSource::Kind::flag;
  }
  UNREACHABLE();
}

}  // namespace

std::string ConfigSource::to_string() const {
  switch (kind) {
    case Kind::standard: return "default";
    case Kind::file: return name;
    case Kind::environment: return "environment " + name;
    case Kind::flag: return "flag " + name;
  }
  UNREACHABLE();
}

ConfigBuilder::ConfigBuilder() { configured_.sources.resize(options().size()); }

void ConfigBuilder::set(const ConfigSource& source, std::string_view key, std::string_view value) {
  const auto index = find_option(key);
  if (!index) {
    const std::string suggestion = suggest_option(key);
    problem(subject(source, quote(key)) + ": unknown setting" +
            (suggestion.empty() ? "" : "; " + suggestion));
    return;
  }
  const Option& option = options()[*index];
  if (!may_set(option.setting, source.kind)) {
    problem(subject(source, key) + ": may only be given on the command line" +
            (option.setting == OptionSetting::flag_or_env
                 ? " or as " + environment_name(option.name)
                 : ""));
    return;
  }
  if (option.without_effect) {
    configured_.warnings.push_back(subject(source, key) + ": " + std::string(option.help));
  }
  ConfigSource& owner = configured_.sources[*index];
  // A value that a stronger source overrides is checked all the same: it is wrong where it stands.
  Config checked_only;
  const bool wins = source.kind >= owner.kind;
  if (wins && source.kind > owner.kind) clear_list(option, configured_.config);
  const auto assigned = assign(option, value, wins ? configured_.config : checked_only);
  if (!assigned) {
    problem(subject(source, key) + " " + quote(shown_value(option, value)) + ": " +
            assigned.error().message);
  } else if (wins) {
    owner = source;
  }
}

void ConfigBuilder::set_environment(const Environment& environment) {
  const auto secret = [this](std::string_view name, const std::string& value, std::string& out) {
    if (value.size() > kSecretBytesMax) problem(std::string(name) + ": must be at most 4KiB long");
    out = value;
  };
  // The original's name first, so that DOOZERD_BOOT_URI, the same kind of source, wins over it.
  for (const auto& [name, value] : environment) {
    const ConfigSource source{.kind = ConfigSource::Kind::environment, .name = name};
    if (name == kBootUriName && !value.empty()) set(source, "boot-uri", value);
    if (name == "DOOZER_RWSECRET") secret(name, value, configured_.secrets.read_write);
    if (name == "DOOZER_ROSECRET") secret(name, value, configured_.secrets.read_only);
  }
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix)) continue;
    const Option* known = nullptr;
    for (const Option& option : options()) {
      if (environment_name(option.name) == name && option.setting != OptionSetting::flag_only) {
        known = &option;
      }
    }
    if (known == nullptr) {
      configured_.warnings.push_back("environment " + name + ": no such setting, ignored");
    } else if (!value.empty()) {
      set({.kind = ConfigSource::Kind::environment, .name = name}, known->name, value);
    }
  }
}

Result<Configured> ConfigBuilder::finish() {
  check_together();
  if (problems_.empty()) return std::move(configured_);
  std::string all;
  for (size_t i = 0; i < problems_.size() && i < kProblemsMax; ++i) {
    all += (i == 0 ? "" : "\n") + problems_[i];
  }
  if (problems_.size() > kProblemsMax) {
    all += "\nand " + std::to_string(problems_.size() - kProblemsMax) + " more";
  }
  return fail(Code::bad_argument, std::move(all));
}

std::string print_config(const Configured& configured) {
  std::vector<std::string> lines;
  std::vector<const ConfigSource*> sources;
  size_t widest = 0;
  for (size_t i = 0; i < options().size(); ++i) {
    const Option& option = options()[i];
    const std::string value = value_text(option, configured.config);
    if (value.empty()) continue;
    // An empty string is "not set", which no file can say.
    const bool unset = value == "\"\"";
    lines.push_back((unset ? "# " : "") + std::string(option.name) + " = " + value);
    sources.push_back(&configured.sources[i]);
    widest = std::max(widest, std::min<size_t>(lines.back().size(), 50));
  }
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    out += lines[i];
    out.append(lines[i].size() < widest ? widest - lines[i].size() : 0, ' ');
    out += "  # " + sources[i]->to_string() + "\n";
  }
  return out;
}

}  // namespace doozer::server
