/* The text and the limit of the word count bench.
 *
 *   words generate MIB FILE    text whose words follow Zipf's law, always the same
 *   words count FILE THREADS   "word TAB count" of each word, sorted bytewise: a hash table per thread, merged
 */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { VOCABULARY = 200000, LONGEST = 16, THREADS = 16 };

static uint64_t state = 42;

static uint64_t any(void) { /* splitmix64 */
  uint64_t z = (state += 0x9E3779B97F4A7C15u);
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* Longer the rarer; the last four letters tell the words of a length apart. */
static int spell(char *word, unsigned rank) {
  int length = rank < 20 ? 3 : rank < 200 ? 4 : (int)(5 + 0.5 * log2(rank / 200.0));
  for (int i = 0; i < length - 4; i++) word[i] = 'a' + any() % 26;
  for (int i = length - 1; i >= 0 && i >= length - 4; i--, rank /= 26) word[i] = 'a' + rank % 26;
  return length;
}

static int generate(long bytes, const char *path) {
  static char words[VOCABULARY][LONGEST];
  static int lengths[VOCABULARY];
  static double until[VOCABULARY];
  double sum = 0;
  for (int i = 0; i < VOCABULARY; i++) {
    lengths[i] = spell(words[i], i);
    until[i] = sum += pow(i + 2.7, -1.07);
  }
  FILE *file = fopen(path, "wb");
  if (!file) return 1;
  for (long written = 0; written < bytes;) {
    for (int left = 6 + any() % 8; left; left--) {
      double at = (any() >> 11) * 0x1p-53 * sum;
      int low = 0, high = VOCABULARY - 1;
      while (low < high) {
        int middle = (low + high) / 2;
        if (until[middle] < at) low = middle + 1;
        else high = middle;
      }
      fwrite(words[low], 1, lengths[low], file);
      putc(left > 1 ? ' ' : '\n', file);
      written += lengths[low] + 1;
    }
  }
  return fclose(file) != 0;
}

typedef struct {
  const char *word;
  uint64_t begin; /* the first eight bytes: most words need no other comparison */
  uint64_t count;
  uint32_t length, hash;
} Entry;

typedef struct {
  Entry *entries;
  uint64_t room, used;
  const char *from, *to;
} Table;

static void add(Table *table, Entry new) {
  uint64_t mask = table->room - 1;
  for (uint64_t i = new.hash & mask;; i = (i + 1) & mask) {
    Entry *entry = table->entries + i;
    if (!entry->word) {
      *entry = new;
      table->used++;
      return;
    }
    if (entry->hash == new.hash && entry->begin == new.begin && entry->length == new.length &&
        (new.length <= 8 || !memcmp(entry->word + 8, new.word + 8, new.length - 8))) {
      entry->count += new.count;
      return;
    }
  }
}

static void make_room(Table *table) {
  if (table->used * 2 < table->room) return;
  Table larger = {calloc(table->room * 2, sizeof(Entry)), table->room * 2, 0, table->from, table->to};
  for (uint64_t i = 0; i < table->room; i++)
    if (table->entries[i].word) add(&larger, table->entries[i]);
  free(table->entries);
  *table = larger;
}

static void *count_part(void *argument) {
  Table *table = argument;
  const char *at = table->from, *to = table->to;
  for (;;) {
    while (at < to && (*at == ' ' || *at == '\n')) at++;
    if (at >= to) return 0;
    const char *word = at;
    uint64_t hash = 0xCBF29CE484222325u, begin = 0;
    for (; at < to && *at != ' ' && *at != '\n'; at++) hash = (hash ^ (uint8_t)*at) * 0x100000001B3u;
    uint32_t length = at - word;
    memcpy(&begin, word, length < 8 ? length : 8);
    make_room(table);
    add(table, (Entry){word, begin, 1, length, (uint32_t)(hash ^ hash >> 32)});
  }
}

static int by_word(const void *a, const void *b) {
  const Entry *one = a, *other = b;
  int found = memcmp(one->word, other->word, one->length < other->length ? one->length : other->length);
  return found ? found : (int)one->length - (int)other->length;
}

static int count(const char *path, int threads) {
  int fd = open(path, O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) || threads < 1 || threads > THREADS) return 1;
  const char *text = mmap(0, status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0), *from = text;
  if (text == MAP_FAILED) return 1;
  Table tables[THREADS];
  pthread_t running[THREADS];
  for (int i = 0; i < threads; i++) {
    const char *end = text + status.st_size, *to = i == threads - 1 ? end : text + status.st_size / threads * (i + 1);
    while (to < end && *to != '\n') to++;
    tables[i] = (Table){calloc(1 << 16, sizeof(Entry)), 1 << 16, 0, from, to};
    pthread_create(running + i, 0, count_part, tables + i);
    from = to;
  }
  for (int i = 0; i < threads; i++) pthread_join(running[i], 0);
  for (int i = 1; i < threads; i++)
    for (uint64_t j = 0; j < tables[i].room; j++)
      if (tables[i].entries[j].word) make_room(tables), add(tables, tables[i].entries[j]);
  Entry *sorted = malloc((tables->used + 1) * sizeof(Entry));
  uint64_t used = 0;
  for (uint64_t i = 0; i < tables->room; i++)
    if (tables->entries[i].word) sorted[used++] = tables->entries[i];
  qsort(sorted, used, sizeof(Entry), by_word);
  for (uint64_t i = 0; i < used; i++)
    printf("%.*s\t%lu\n", (int)sorted[i].length, sorted[i].word, (unsigned long)sorted[i].count);
  return 0;
}

int main(int arguments, char **argument) {
  if (arguments == 4 && !strcmp(argument[1], "generate")) return generate(atol(argument[2]) << 20, argument[3]);
  if (arguments == 4 && !strcmp(argument[1], "count")) return count(argument[2], atoi(argument[3]));
  return 2;
}
