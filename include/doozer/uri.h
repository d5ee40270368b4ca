// How a cluster is named in one line: doozer:?ca=HOST:PORT&ca=...&cn=NAME&sk=SECRET
//
//   ca=HOST:PORT     an address of a server; repeatable, port 8046 if none is given
//   cn=NAME          the cluster's name, for a lookup through a name service (Options::boot_uri)
//   sk=SECRET        the secret
//   tls=1            speak TLS; tlsca, tlsname and tlsinsecure each imply it
//   tlsca=FILE       trust the certificates in this PEM file instead of the system's
//   tlsname=NAME     the name that the certificate must bear
//   tlsinsecure=1    accept any certificate
//
// Keys and values are percent-encoded; `+` is a plus sign. An unknown key is an error.
#pragma once

#include <string>
#include <string_view>

#include "doozer/types.h"

namespace doozer {

/// Errors: bad_argument, naming the key and what is wrong with it. Neither `ca` nor `cn`: an error
/// too. A secret never stands in a message.
Result<Options> parse_uri(std::string_view uri);

/// The shortest URI that parse_uri() turns into the same addresses, name, secret and TLS options.
std::string format_uri(const Options& options);

/// The addresses of a URI, for people: secret left out.
std::string describe(const Options& options);

}  // namespace doozer
