// Package tap writes results in the Test Anything Protocol, version 13.
//
// The suite's own choice for this is a package that Debian does not carry. What stands here offers
// the same calls, as far as the suite makes them.
package tap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// T numbers the results of one program.
type T struct {
	Writer io.Writer
	last   *int
	todo   bool
}

// New begins a series of results on standard output.
func New() *T { return &T{Writer: os.Stdout, last: new(int)} }

// Header tells the protocol's version, and the number of results where it is known (not zero).
func (t *T) Header(results int) {
	fmt.Fprintln(t.Writer, "TAP version 13")
	if results > 0 {
		fmt.Fprintf(t.Writer, "1..%d\n", results)
	}
}

// AutoPlan tells afterwards how many results there were.
func (t *T) AutoPlan() { fmt.Fprintf(t.Writer, "1..%d\n", *t.last) }

// Todo is the same series for results that are not expected to pass yet.
func (t *T) Todo() *T {
	other := *t
	other.todo = true
	return &other
}

// Ok reports a result.
func (t *T) Ok(passed bool, name string) {
	*t.last++
	verdict := "ok"
	if !passed {
		verdict = "not ok"
	}
	if t.todo {
		name = "# TODO " + name
	}
	fmt.Fprintf(t.Writer, "%s %d - %s\n", verdict, *t.last, name)
}

// Pass reports a success.
func (t *T) Pass(name string) { t.Ok(true, name) }

// Fail reports a failure.
func (t *T) Fail(name string) { t.Ok(false, name) }

// Skip reports results that were not asked for.
func (t *T) Skip(results int, why string) {
	for ; results > 0; results-- {
		*t.last++
		fmt.Fprintf(t.Writer, "ok %d # SKIP %s\n", *t.last, why)
	}
}

// Diagnostic adds a remark.
func (t *T) Diagnostic(remark string) {
	fmt.Fprintln(t.Writer, "# "+strings.ReplaceAll(strings.TrimRight(remark, "\n"), "\n", "\n# "))
}

// Diagnosticf adds a formatted remark.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML adds a value to the last result. JSON is YAML, too.
func (t *T) YAML(value interface{}) error {
	text, err := json.MarshalIndent(value, "  ", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(t.Writer, "  ---\n  %s\n  ...\n", text)
	return nil
}
