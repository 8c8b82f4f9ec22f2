package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	recorder := httptest.NewRecorder()
	page(recorder, nil)
	if !strings.Contains(recorder.Body.String(), "hello") {
		t.Fatal(recorder.Body.String())
	}
}
