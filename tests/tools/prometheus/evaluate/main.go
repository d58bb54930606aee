// Evaluates queries over series that are given, with Prometheus's own engine and storage, and no server.
//
// Standard input is one JSON document: the series, the queries, and the times (milliseconds) at which each query is
// evaluated. Standard output is a list with an entry for each query: its series, as labels and points.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
)

// A point is a time in milliseconds and a value.
type point [2]float64

type series struct {
	Labels map[string]string `json:"labels"`
	Points []point           `json:"points"`
}

type request struct {
	Series  []series `json:"series"`
	Queries []string `json:"queries"`
	Start   int64    `json:"start"`
	End     int64    `json:"end"`
	Step    int64    `json:"step"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "evaluate:", err)
		os.Exit(1)
	}
}

func run() error {
	var asked request
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	folder, err := os.MkdirTemp("", "evaluate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	db, err := tsdb.Open(folder, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := store(db, asked.Series); err != nil {
		return err
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute})
	answers := make([][]series, 0, len(asked.Queries))
	for _, query := range asked.Queries {
		answer, err := evaluate(engine, db, query, asked)
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		answers = append(answers, answer)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

// store appends all samples, in the order of their times.
func store(db *tsdb.DB, all []series) error {
	appender := db.Appender(context.Background())
	for _, one := range all {
		named := labels.FromMap(one.Labels)
		for _, point := range one.Points {
			if _, err := appender.Append(0, named, int64(point[0]), point[1]); err != nil {
				return fmt.Errorf("%s: %w", named, err)
			}
		}
	}
	return appender.Commit()
}

func evaluate(engine *promql.Engine, db *tsdb.DB, query string, asked request) ([]series, error) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	step := time.Duration(asked.Step) * time.Millisecond
	prepared, err := engine.NewRangeQuery(context.Background(), db, nil, query, at(asked.Start), at(asked.End), step)
	if err != nil {
		return nil, err
	}
	defer prepared.Close()
	result := prepared.Exec(context.Background())
	if result.Err != nil {
		return nil, result.Err
	}
	matrix, err := result.Matrix()
	if err != nil {
		return nil, err
	}
	answer := make([]series, 0, len(matrix))
	for _, found := range matrix {
		one := series{Labels: found.Metric.Map(), Points: []point{}}
		for _, value := range found.Floats {
			// JSON has no word for these; a panel shows nothing there either.
			if !math.IsNaN(value.F) && !math.IsInf(value.F, 0) {
				one.Points = append(one.Points, point{float64(value.T), value.F})
			}
		}
		answer = append(answer, one)
	}
	return answer, nil
}
