/* LMDB without a binding in between: MDB_WRITEMAP, every commit synced. */
#include <lmdb.h>
#include <string.h>

#include "driver.h"

static MDB_env *env;
static MDB_dbi dbi;
static MDB_txn *writing;
/* One snapshot for all reads of a process, which writes nothing meanwhile: the cheapest way there is. */
static MDB_txn *reading;

static void check(int code, const char *what) {
  if (code != MDB_SUCCESS) fail(what, mdb_strerror(code));
}

static void open_store(const char *path, uint64_t keys) {
  check(mdb_env_create(&env), "mdb_env_create");
  check(mdb_env_set_mapsize(env, (keys * 600 + (1ull << 30)) & ~4095ull), "mdb_env_set_mapsize");
  check(mdb_env_open(env, path, MDB_WRITEMAP | MDB_NOSUBDIR, 0600), "mdb_env_open");
  MDB_txn *txn;
  check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
  check(mdb_dbi_open(txn, NULL, 0, &dbi), "mdb_dbi_open");
  check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void close_store(void) {
  if (reading != NULL) mdb_txn_abort(reading);
  mdb_env_close(env);
}

static void begin(void) { check(mdb_txn_begin(env, NULL, 0, &writing), "mdb_txn_begin"); }

static void put(const char *key, const void *value, size_t value_bytes, int exists) {
  (void)exists;
  MDB_val k = {KEY_BYTES, (void *)key}, v = {value_bytes, (void *)value};
  check(mdb_put(writing, dbi, &k, &v, 0), "mdb_put");
}

static void commit(void) { check(mdb_txn_commit(writing), "mdb_txn_commit"); }

static void remove_one(const char *key) {
  MDB_val k = {KEY_BYTES, (void *)key};
  begin();
  check(mdb_del(writing, dbi, &k, NULL), "mdb_del");
  commit();
}

static void begin_reading(void) {
  if (reading == NULL) check(mdb_txn_begin(env, NULL, MDB_RDONLY, &reading), "mdb_txn_begin");
}

static int signature(const MDB_val *value) { return *(const unsigned char *)value->mv_data + (int)value->mv_size; }

static int view(const char *key) {
  MDB_val k = {KEY_BYTES, (void *)key}, v;
  begin_reading();
  int code = mdb_get(reading, dbi, &k, &v);
  if (code == MDB_NOTFOUND) return -1;
  check(code, "mdb_get");
  return signature(&v);
}

static uint64_t range(const char *key, uint64_t limit) {
  MDB_val k = {KEY_BYTES, (void *)key}, v;
  MDB_cursor *cursor;
  begin_reading();
  check(mdb_cursor_open(reading, dbi, &cursor), "mdb_cursor_open");
  uint64_t sum = 0;
  int code = mdb_cursor_get(cursor, &k, &v, key == NULL ? MDB_FIRST : MDB_SET_RANGE);
  for (uint64_t row = 0; code == MDB_SUCCESS && row < limit; row++) {
    sum += (uint64_t)signature(&v);
    code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
  }
  mdb_cursor_close(cursor);
  return sum;
}

static uint64_t count(void) {
  MDB_stat stat;
  check(mdb_env_stat(env, &stat), "mdb_env_stat");
  return stat.ms_entries;
}

int main(int argc, char **argv) {
  const struct engine engine = {open_store, close_store, begin, put, commit, remove_one, view, range, count};
  return run_driver(&engine, argc, argv);
}
