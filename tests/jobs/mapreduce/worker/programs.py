"""Programs that the tests give to the worker: in Python for streaming, in C for apollo's sockets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

# Hadoop Streaming's word count, as everybody writes it.
MAPPER = r"""
import sys
for line in sys.stdin:
    for word in line.split():
        print(f"{word}\t1")
"""
COMBINING_MAPPER = r"""
import sys
from collections import Counter
counts = Counter()
while lines := sys.stdin.buffer.readlines(1 << 22):
    counts.update(b"".join(lines).split())
for word, count in counts.items():
    sys.stdout.buffer.write(b"%b\t%d\n" % (word, count))
"""
REDUCER = r"""
import sys
last, total = None, 0
for line in sys.stdin:
    word, _, count = line.rstrip("\n").partition("\t")
    if word == last:
        total += int(count)
        continue
    if last is not None:
        print(f"{last}\t{total}")
    last, total = word, int(count)
if last is not None:
    print(f"{last}\t{total}")
"""
CAT = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"


def python(code: str, interpreter: str = sys.executable) -> list[str]:
    """The argument vector of a program in Python."""
    return [interpreter, "-I", "-S", "-c", code]


# Reads and answers as programs of Apollo do; the folder of the sockets may be another one than /tmp.
_C = r"""
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un named(const char *format, const char *order) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, format, getenv("SOCKETS") ? getenv("SOCKETS") : "/tmp", order);
  return address;
}

static void answer(const char *name, const char *text, size_t length) {
  struct sockaddr_un address = named("%s/%s", name);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) exit(3);
  while (length) {
    ssize_t n = write(fd, text, length);
    if (n <= 0) exit(4);
    text += n, length -= n;
  }
  close(fd);
}

#ifdef MAPPER
int main(int count, char **arguments) {
  size_t room = strlen(arguments[2]) * 40 + 100, used = 0;
  char *text = malloc(room), *word = arguments[2];
  int begun = 0;
  used += sprintf(text, "{\"pairs\":[");
  for (;;) {
    size_t length = strcspn(word, " ");
    if (length || (!*word && !begun)) {
      used += sprintf(text + used, "%s{\"key\":\"%.*s\",\"value\":1}", begun ? "," : "", (int)length, word);
      begun = 1;
    }
    word += length;
    if (!*word++) break;
  }
  used += sprintf(text + used, "]}\n");
  answer("map.sock", text, used);
  return 0;
}
#else
int main(int count, char **arguments) {
  struct sockaddr_un address = named("%s/reduce-input-%s.sock", arguments[1]);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0), one;
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1)) return 3;
  if ((one = accept(fd, 0, 0)) < 0) return 4;
  size_t room = 1 << 16, used = 0;
  char *text = malloc(room + 1);
  for (ssize_t n; (n = read(one, text + used, room - used)) > 0;)
    if ((used += n) == room) text = realloc(text, (room *= 2) + 1);
  text[used] = 0;
  char *values = strstr(text, ",\"value\":[");
  if (!values) return 5;
  long sum = 0;
  *values = 0;
  for (char *at = values + 10, *end; *at && *at != ']'; at = *end == ',' ? end + 1 : end) sum += strtol(at, &end, 10);
  char *result = malloc(used + 100);
  size_t length = sprintf(result, "%s,\"value\":%ld}\n", text, sum);
  answer("reduce.sock", result, length);
  return 0;
}
#endif
"""


def compiled(folder: Path) -> tuple[str, str]:
    """Word count for the apollo protocol: mapper and reducer."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler
    source = folder / "words.c"
    source.write_text(_C)
    for name, flags in (("mapper", ["-DMAPPER"]), ("reducer", [])):
        command = [compiler, "-O2", *flags, str(source), "-o", str(folder / name)]
        subprocess.run(command, check=True)
    return str(folder / "mapper"), str(folder / "reducer")
