// The least that a checker in Go's net/http is: a new connection for each check, so many at a time.
// A peer of the probe engine; prints the same figures as probe_bench.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func client(caFile string, sessions int) *http.Client {
	config := &tls.Config{}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			panic(err)
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(pem)
	}
	if sessions > 0 {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(sessions)
	}
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   config,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func check(client *http.Client, method, url string) bool {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		panic(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && answer.StatusCode < 400
}

func run(client *http.Client, method, url string, checks, concurrency int64) int64 {
	var begun, up int64
	var all sync.WaitGroup
	for i := int64(0); i < concurrency; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for atomic.AddInt64(&begun, 1) <= checks {
				if check(client, method, url) {
					atomic.AddInt64(&up, 1)
				}
			}
		}()
	}
	all.Wait()
	return up
}

func cpu(t syscall.Timeval) float64 { return 1e6*float64(t.Sec) + float64(t.Usec) }

func peakRssBytes() (bytes int64) {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "VmHWM:") {
			fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &bytes)
		}
	}
	return bytes * 1024
}

func main() {
	url := flag.String("url", "", "what is checked")
	method := flag.String("method", "GET", "HEAD or GET")
	checks := flag.Int64("checks", 10000, "counted")
	warmUp := flag.Int64("warm_up", 0, "run before, and not counted")
	concurrency := flag.Int64("concurrency", 64, "at a time")
	caFile := flag.String("ca_file", "", "CA of https sites")
	sessions := flag.Int("sessions", 0, "TLS sessions kept; 0 = every handshake is a full one")
	flag.Parse()
	one := client(*caFile, *sessions)
	run(one, *method, *url, *warmUp, *concurrency)
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	began := time.Now()
	up := run(one, *method, *url, *checks, *concurrency)
	seconds := time.Since(began).Seconds()
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	user := cpu(after.Utime) - cpu(before.Utime)
	system := cpu(after.Stime) - cpu(before.Stime)
	n := float64(*checks)
	fmt.Printf("checks %d\nup %d\nseconds %g\n", *checks, up, seconds)
	fmt.Printf("cpu_us %g\nuser_us %g\nsystem_us %g\n", (user+system)/n, user/n, system/n)
	fmt.Printf("rss_bytes %d\n", peakRssBytes())
}
