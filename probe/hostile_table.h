#ifndef JETMON_PROBE_HOSTILE_TABLE_H_
#define JETMON_PROBE_HOSTILE_TABLE_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "probe/check.h"
#include "probe/hostile_case.h"
#include "probe/hostile_server.h"

namespace jetmon::probe {

// What a server does, and what each mode is to say of it.
struct Behaviour {
  std::string name;
  Script script;
  Verdicts verdicts;
  std::shared_ptr<const FullRules> rules;  // of get-full; may be null
  bool https = false;                      // asked by https, though the server speaks no TLS
  // It keeps a check until its deadline.
  bool stalls = false;
};

// Servers that are slow or hang, reset or close at each phase, and floods without an end.
std::vector<Behaviour> HangingServers();
// Answers that are odd or broken in their status line, headers or framing.
std::vector<Behaviour> OddAnswers();
// Bodies: encodings and keywords, wherever they are cut.
std::vector<Behaviour> OddBodies();
// All of them.
std::vector<Behaviour> AllBehaviours();

// A gzip stream of `size` zero bytes, made without holding them.
std::string GzipBomb(int64_t size);

// The headers of a complete 200, up to the empty line.
std::string Ok(const std::string& headers);
// A chunk of these bytes.
std::string Chunk(const std::string& data);

std::shared_ptr<const FullRules> Keyword(std::string keyword);
std::shared_ptr<const FullRules> ForbiddenKeyword(std::string keyword);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_HOSTILE_TABLE_H_
