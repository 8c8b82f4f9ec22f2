// A web service of one page; with --check it asks a running one, with --version it only says its version.
package main

import (
	"fmt"
	"net/http"
	"os"
)

var version = "unset"

func page(writer http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(writer, "hello from go %s\n", version)
}

func check() int {
	answer, err := http.Get("http://127.0.0.1:8080/")
	if err != nil || answer.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}

func main() {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "--check":
		os.Exit(check())
	case len(os.Args) > 1 && os.Args[1] == "--version":
		fmt.Printf("hello from go %s\n", version)
	default:
		http.HandleFunc("/", page)
		fmt.Fprintln(os.Stderr, http.ListenAndServe(":8080", nil))
		os.Exit(1)
	}
}
