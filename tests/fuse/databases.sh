#!/bin/sh
# databases.sh - databases on a mount whose daemon is killed at work: what they acknowledged is
# there after recovery, and they find themselves consistent. KA_SECONDS: how long pgbench runs.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

seconds=${KA_SECONDS:-15}
daemon=  # process id of keepalivefs
clients= # process ids of whatever else runs

stop_all() {
  for pid in $clients; do
    # A postmaster has children in sessions of their own, and shared memory to give back.
    children=$(pgrep -P "$pid" || true)
    kill -INT "$pid" 2>/dev/null || true
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" $children 2>/dev/null || true
  done
}
trap 'stop_all; cleanup' EXIT
trap 'exit 1' HUP INT TERM

# wait_until WHAT COMMAND...: half a minute for it.
wait_until() {
  what=$1
  shift
  for _ in $(seq 600); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.05
  done
  tail -n 5 "$work"/*.log >&2 || true
  fail "waited in vain: $what"
}

# Dead ones may be waiting for a parent to take note: those count as gone.
gone() {
  for pid in "$@"; do
    case $(ps -o stat= -p "$pid" || true) in
    '' | Z*) ;;
    *) return 1 ;;
    esac
  done
}

start() {
  mount_region
  daemon=$(daemon_pid)
}

# crash [PID...]: the daemon dies, and those at the same moment.
crash() {
  kill -KILL "$daemon" "$@"
  wait_until "the daemon is gone" gone "$daemon" "$@"
  umount -l "$mount"
}

recover() {
  status=0
  "$FSCK" -p "$region" || status=$?
  [ "$status" -le 1 ] || fail "fsck -p says $status"
  start
}

#
# SQLite: two writers, each transaction has an insert of four rows, an update and a delete. They
# log to $work/acked.N what has been committed.
#

sqlite_transactions() { # sqlite_transactions WRITER JOURNAL FIRST
  printf '.bail on\n.timeout 20000\n'
  echo "pragma journal_mode=$2; pragma synchronous=full; pragma wal_autocheckpoint=50;"
  seq "$3" $(($3 + 20000)) | while read -r n; do
    echo "begin immediate;
      insert into t select $1, $n, value, printf('%0*d', 300 + $n % 700, $n * 10 + value)
        from generate_series(1, 4);
      update last set n = $n where writer = $1;
      delete from queue where writer = $1; insert into queue values($1, $n, zeroblob(5000));
      commit;
      select 'committed', $n;"
  done
}

sqlite_value() {
  sqlite3 "$mount/test.db" ".timeout 20000" "$1"
}

sqlite_check() { # after all writers have gone
  [ "$(sqlite_value 'pragma integrity_check')" = ok ] || fail "sqlite: integrity_check"
  [ "$(sqlite_value "select count(*) from t where b <> printf('%0*d', 300 + n % 700,
    n * 10 + part)")" -eq 0 ] || fail "sqlite: rows that nobody wrote"
  for writer in 1 2; do
    acked=$(sed -n 's/^committed|//p' "$work/acked.$writer" | tail -n 1)
    acked=${acked:-$(cat "$work/last.$writer")}
    last=$(sqlite_value "select n from last where writer = $writer")
    # The one at work may have been committed without a chance to say so.
    [ "$last" -eq "$acked" ] || [ "$last" -eq $((acked + 1)) ] ||
      fail "sqlite: transaction $acked was committed, $last is the last one"
    rows=$(sqlite_value "select count(*), count(distinct n), ifnull(max(n), 0) from t
      where writer = $writer")
    [ "$rows" = "$((4 * last))|$last|$last" ] ||
      fail "sqlite: $last transactions of writer $writer, rows $rows"
    [ "$(sqlite_value "select n from queue where writer = $writer")" -eq "$last" ] ||
      fail "sqlite: queue of $writer"
    echo "$last" >"$work/last.$writer"
  done
}

sqlite() { # sqlite JOURNAL ROUNDS
  sqlite3 "$mount/test.db" "pragma journal_mode=$1;
    create table t(writer, n, part, b, primary key(writer, n, part)) without rowid;
    create table last(writer integer primary key, n); insert into last values(1, 0), (2, 0);
    create table queue(writer, n, data); insert into queue values(1, 0, ''), (2, 0, '');
    create index i on t(b);" >/dev/null
  echo 0 | tee "$work/last.1" >"$work/last.2"
  for round in $(seq "$2"); do
    writers=
    for writer in 1 2; do
      last=$(cat "$work/last.$writer")
      : >"$work/acked.$writer"
      sqlite_transactions $writer "$1" $((last + 1)) |
        stdbuf -oL sqlite3 "$mount/test.db" >>"$work/acked.$writer" 2>"$work/sqlite$writer.log" &
      writers="$writers $!"
    done
    clients=$writers
    wait_until "a transaction of sqlite" grep -q committed "$work/acked.1" "$work/acked.2"
    sleep "0.$((3 * round))"
    crash
    kill $writers 2>/dev/null || true
    wait $writers 2>/dev/null || true
    clients=
    recover
    sqlite_check
    last=$(sqlite_value 'select sum(n) from last')
    say "sqlite, journal mode $1: $last transactions"
  done
  rm "$mount"/test.db*
}

#
# Redis: every reply stands for something in the append-only file.
#

# Debian's redis-tools hold the server too, under the name of one of its other jobs; the package
# redis-server would start one for the whole machine.
redis_start() {
  server=$(command -v redis-server || command -v redis-check-rdb)
  ln -sf "$server" "$work/redis-server"
  "$work/redis-server" --port 0 --unixsocket "$work/redis.socket" --dir "$mount/redis" \
    --appendonly yes --appendfsync always --save '' --logfile "$work/redis.log" &
  redis_pid=$!
  clients=$redis_pid
  wait_until "redis" redis ping
  wait_until "redis has loaded" redis_loaded
}

redis() {
  redis-cli -s "$work/redis.socket" "$@"
}

redis_loaded() {
  redis info persistence | grep -q '^loading:0'
}

redis_commands() { # redis_commands FORMAT FIRST LAST
  awk -v format="$1" -v n="$2" -v last="$3" 'BEGIN { for (; n <= last; n++) printf format, n, n }'
}

redis_crash() {
  mkdir "$mount/redis"
  redis_start
  piped=4000
  redis_commands 'set key:%d value:%d\r\n' 1 $piped | redis --pipe >"$work/pipe"
  grep -q "errors: 0, replies: $piped" "$work/pipe" || fail "redis: $(cat "$work/pipe")"
  redis_commands 'set key:%d value:%d\n' $((piped + 1)) 900000 |
    stdbuf -oL redis-cli -s "$work/redis.socket" >"$work/replies" 2>&1 &
  client=$!
  clients="$redis_pid $client"
  wait_until "a reply of redis" grep -q OK "$work/replies"
  # New files, renames and unlinks while the client goes on.
  redis bgrewriteaof >/dev/null
  sleep 1.5
  crash "$redis_pid"
  kill "$client" 2>/dev/null || true
  wait "$client" "$redis_pid" 2>/dev/null || true
  clients=
  recover
  acked=$((piped + $(grep -c '^OK$' "$work/replies" || true)))
  redis_start
  # The one that had no reply yet may be there.
  have=$(redis dbsize)
  [ "$have" -eq "$acked" ] || [ "$have" -eq $((acked + 1)) ] ||
    fail "redis: $acked keys were acknowledged, $have are there"
  redis_commands 'get key:%d\n' 1 "$acked" | redis >"$work/values"
  redis_commands 'value:%d\n' 1 "$acked" | cmp - "$work/values" || fail "redis: values"
  redis shutdown
  wait "$redis_pid" || fail "redis: shutdown"
  clients=
  say "redis: $acked keys"
}

#
# PostgreSQL: pgbench moves money about. Branches, tellers, accounts and the history have to
# agree; the history is at least as long as what pgbench counted.
#

# As a child of this shell, which takes note of its end.
postgres_start() {
  $as_user "$pg/postgres" -D "$mount/postgres" >>"$work/postgres.log" 2>&1 &
  postmaster=$!
  clients=$postmaster
  wait_until "postgres" "$pg/pg_isready" -q -h "$work/pg" -U postgres -d postgres
}

postgres_stop() {
  kill -INT "$postmaster"
  wait "$postmaster" || fail "postgres: stop"
  clients=
}

query() {
  $as_user "$pg/psql" -h "$work/pg" -U postgres -X -A -t -v ON_ERROR_STOP=1 -c "$1" postgres
}

bench() {
  $as_user "$pg/pgbench" -h "$work/pg" -U postgres "$@" postgres
}

history() { # that there is some
  [ "$(query 'select count(*) from pgbench_history')" -gt 0 ]
}

postgres_check() {
  sums=$(query 'select (select sum(abalance) from pgbench_accounts)
    , (select sum(bbalance) from pgbench_branches), (select sum(tbalance) from pgbench_tellers)
    , (select sum(delta) from pgbench_history)')
  [ "$(echo "$sums" | tr '|' '\n' | sort -u | wc -l)" -eq 1 ] || fail "postgres: sums $sums"
}

postgres() {
  mkdir "$work/pg" "$mount/postgres"
  as_user=
  if [ "$(id -u)" -eq 0 ]; then
    # postgres does not run as root, and needs no more than a user that is always there.
    as_user="setpriv --reuid=nobody --regid=nogroup --clear-groups"
    chmod 711 "$work"
    chown nobody:nogroup "$work/pg" "$mount/postgres"
  fi
  cd "$work/pg" # where nobody may be
  $as_user "$pg/initdb" -D "$mount/postgres" -U postgres -A trust -k -E UTF8 --no-locale \
    >"$work/initdb" 2>&1 || fail "initdb: $(tail -n 3 "$work/initdb")"
  # Checkpoints all the time, and shared memory that goes away with the data.
  cat >>"$mount/postgres/postgresql.conf" <<-END
	listen_addresses = ''
	unix_socket_directories = '$work/pg'
	shared_buffers = 24MB
	max_wal_size = 32MB
	min_wal_size = 32MB
	checkpoint_timeout = 30s
	dynamic_shared_memory_type = mmap
	END
  postgres_start
  bench -i -q -s 3 >"$work/bench" 2>&1 || fail "pgbench -i: $(tail -n 3 "$work/bench")"
  say "postgres: pgbench for $seconds s"
  $as_user "$pg/pgbench" -h "$work/pg" -U postgres -n -c 4 -j 2 -T $((seconds + 60)) \
    -l --log-prefix="$work/pg/acked" postgres >"$work/bench" 2>&1 &
  client=$!
  clients="$postmaster $client"
  wait_until "a transaction of pgbench" history
  sleep "$seconds"
  kill -0 "$client" 2>/dev/null || fail "pgbench: $(tail -n 3 "$work/bench")"
  backends=$(pgrep -P "$postmaster")
  # The postmaster goes last: it has shared memory to give back.
  crash
  kill -KILL $backends "$postmaster" 2>/dev/null || true
  wait_until "postgres is gone" gone $backends "$postmaster"
  wait "$postmaster" || true
  wait "$client" && fail "pgbench ended well"
  clients=
  recover
  postgres_start
  grep -q 'automatic recovery in progress' "$work/postgres.log" || fail "postgres has not recovered"
  postgres_check
  acked=$(cat "$work/pg/acked".* | wc -l)
  have=$(query 'select count(*) from pgbench_history')
  [ "$have" -ge "$acked" ] ||
    fail "postgres: $acked transactions were committed, $have are there"
  bench -n -c 2 -t 50 >"$work/bench" 2>&1 || fail "pgbench: $(tail -n 3 "$work/bench")"
  query 'vacuum full' >/dev/null
  query 'reindex database postgres' >/dev/null
  postgres_check
  postgres_stop
  $as_user "$pg/pg_checksums" --check -D "$mount/postgres" >"$work/sums" ||
    fail "pg_checksums: $(cat "$work/sums")"
  cd /
  say "postgres: $acked transactions"
}

#
# memcached: its memory is a file on the mount, mapped, which a stop by SIGUSR1 makes ready for
# the next start.
#

memcached_start() {
  rm -f "$work/memcached.socket" # that of the last one
  memcached -u "$(id -un)" -s "$work/memcached.socket" -m 64 -e "$mount/memcached" \
    2>"$work/memcached.log" &
  memcached_pid=$!
  clients=$memcached_pid
  wait_until "memcached" test -S "$work/memcached.socket"
}

memcached_stop() {
  kill -USR1 "$memcached_pid"
  wait "$memcached_pid" || fail "memcached: $(tail -n 3 "$work/memcached.log")"
  clients=
}

memcached_talk() { # memcached_talk set|get
  python3 - "$work/memcached.socket" "$1" <<-'END'
	import hashlib, socket, sys, time
	s = socket.socket(socket.AF_UNIX)
	for attempt in range(200): # bound, and not listening yet
	    if s.connect_ex(sys.argv[1]) == 0:
	        break
	    time.sleep(0.05)
	f = s.makefile("rwb")
	for i in range(5000):
	    value = hashlib.sha512(b"%d" % i).hexdigest().encode() * (1 + i % 50)
	    if sys.argv[2] == "set":
	        f.write(b"set key%d 0 0 %d\r\n%s\r\n" % (i, len(value), value))
	        f.flush()
	        assert f.readline() == b"STORED\r\n", i
	    else:
	        f.write(b"get key%d\r\n" % i)
	        f.flush()
	        assert f.readline() == b"VALUE key%d 0 %d\r\n" % (i, len(value)), i
	        assert f.readline() == value + b"\r\n", i
	        assert f.readline() == b"END\r\n", i
	END
}

memcached_restart() {
  memcached_start
  memcached_talk set || fail "memcached: set"
  memcached_stop
  unmount_region
  check_region
  start
  sleep 2 # it believes in no file of the same second
  memcached_start
  memcached_talk get || fail "memcached: get after the restart"
  memcached_stop
  say "memcached: 5000 values"
}

"$MKFS" -q -s 1G "$region"
start
if need sqlite3; then
  sqlite wal 3
  sqlite delete 2
fi
if need redis-cli; then redis_crash; fi
pg=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
if need "$pg/pgbench"; then postgres; fi
if need memcached; then
  if memcached -h | grep -q -- --memory-file; then
    memcached_restart
  else
    echo "skipped: this memcached has no --memory-file"
  fi
fi
unmount_region
check_region
