// Closed-loop clients against etcd: the same flags and the same JSON line as bench/load.py.
//
// Built against Debian's golang-etcd-server-dev; bench/peers/etcd.py says how.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/signal"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// A client that lost its server tries again this often: gRPC's own pauses grow to two minutes.
const reconnectMax = 100 * time.Millisecond

var (
	op         = flag.String("op", "put", "put, get or mixed")
	clients    = flag.Int("clients", 1, "requests outstanding")
	conns      = flag.Int("conns", 1, "connections they are spread over")
	total      = flag.Int64("total", 0, "operations, or:")
	seconds    = flag.Float64("seconds", 0, "how long")
	valueBytes = flag.Int("value-bytes", 256, "of each value")
	keyCount   = flag.Int("keys", 100000, "how many keys")
	readLevel  = flag.String("read-level", "linearizable", "linearizable or stale")
	timeout    = flag.Float64("timeout", 30, "of one operation, in seconds")
	announce   = flag.Bool("announce", false, "a line when the clock starts")
	endpoints  = flag.String("endpoints", "127.0.0.1:2379", "host:port,... in turn for connections")
)

type client struct {
	connection *clientv3.Client
	spent      []int64 // microseconds
	failed     int64
}

func main() {
	flag.Bool("json", true, "as bench/load.py has it; there is no other output")
	flag.Parse()
	if (*total > 0) == (*seconds > 0) {
		fail("say either -total or -seconds")
	}
	value := strings.Repeat("v", *valueBytes)
	keys := shuffledKeys(*keyCount)
	connections := connect(keys[0], value)

	workers := make([]*client, *clients)
	var taken, lastSuccess, longestPause, isOver int64
	var group sync.WaitGroup
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	go func() {
		<-interrupts
		atomic.StoreInt64(&isOver, 1)
	}()
	if *announce {
		fmt.Println("it begins")
	}
	cpuBefore, began := cpuSeconds(), time.Now()
	for number := range workers {
		worker := &client{connection: connections[number%len(connections)]}
		workers[number] = worker
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				place := atomic.AddInt64(&taken, 1) - 1
				sent := time.Since(began)
				isLast := (*total > 0 && place >= *total) || (*seconds > 0 && sent.Seconds() >= *seconds)
				if isLast || atomic.LoadInt64(&isOver) != 0 {
					return
				}
				isPut := *op == "put" || (*op == "mixed" && place%2 == 0)
				if err := call(worker.connection, isPut, keys[place%int64(len(keys))], value); err != nil {
					worker.failed++
					continue
				}
				done := time.Since(began)
				worker.spent = append(worker.spent, (done - sent).Microseconds())
				notePause(&lastSuccess, &longestPause, int64(done))
			}
		}()
	}
	group.Wait()
	notePause(&lastSuccess, &longestPause, int64(time.Since(began)))
	report(workers, time.Since(began).Seconds(), cpuSeconds()-cpuBefore, longestPause)
}

// shuffledKeys names every key once, in an order that is the same in each run.
func shuffledKeys(count int) []string {
	keys := make([]string, count)
	for place, number := range rand.New(rand.NewSource(0)).Perm(count) {
		keys[place] = fmt.Sprintf("key/%09d", number)
	}
	return keys
}

// connect opens the connections and uses each once, so that no run pays for opening them.
func connect(key, value string) []*clientv3.Client {
	servers := strings.Split(*endpoints, ",")
	connections := make([]*clientv3.Client, *conns)
	for number := range connections {
		connection, err := clientv3.New(clientv3.Config{
			Endpoints: []string{servers[number%len(servers)]},
			LogConfig: &zap.Config{Level: zap.NewAtomicLevelAt(zap.FatalLevel), Encoding: "json"},
			DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
				Backoff: backoff.Config{BaseDelay: reconnectMax, Multiplier: 1, MaxDelay: reconnectMax},
			})},
		})
		if err != nil {
			fail(err.Error())
		}
		if err := call(connection, *op != "get", key, value); err != nil {
			fail(err.Error())
		}
		connections[number] = connection
	}
	return connections
}

func call(connection *clientv3.Client, isPut bool, key, value string) error {
	within, cancel := context.WithTimeout(context.Background(), time.Duration(*timeout*1e9))
	defer cancel()
	var err error
	switch {
	case isPut:
		_, err = connection.Put(within, key, value)
	case *readLevel == "stale":
		_, err = connection.Get(within, key, clientv3.WithSerializable())
	default:
		_, err = connection.Get(within, key)
	}
	return err
}

// notePause keeps the longest time without a success, of all clients together.
func notePause(last, longest *int64, now int64) {
	before := atomic.SwapInt64(last, now)
	for {
		known := atomic.LoadInt64(longest)
		if now-before <= known || atomic.CompareAndSwapInt64(longest, known, now-before) {
			return
		}
	}
}

func report(workers []*client, elapsed, cpu float64, longestPause int64) {
	var spent []int64
	var failed int64
	for _, worker := range workers {
		spent = append(spent, worker.spent...)
		failed += worker.failed
	}
	sort.Slice(spent, func(one, other int) bool { return spent[one] < spent[other] })
	percentile := func(share float64) float64 {
		if len(spent) == 0 {
			return 0
		}
		return float64(spent[int(share*float64(len(spent)-1))]) / 1e3
	}
	line, err := json.Marshal(map[string]interface{}{
		"op": *op, "conns": *conns, "clients": *clients, "value_bytes": *valueBytes,
		"ops": len(spent), "failed": failed, "seconds": elapsed,
		"per_s": float64(len(spent)) / elapsed, "p50_ms": percentile(0.5),
		"p99_ms": percentile(0.99), "p999_ms": percentile(0.999), "max_ms": percentile(1),
		"pause_ms": float64(longestPause) / 1e6, "client_cpu_s": cpu,
	})
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(string(line))
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func fail(reason string) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(1)
}
