// Package steps is what the Go programs share: a Deadline for each step, and a line for each.
package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"
)

// Deadline is how long a step may take.
const Deadline = 60 * time.Second

// Step is one of a program's steps; it panics where it fails.
type Step struct {
	name string
	do   func(context.Context)
}

// Do names a step.
func Do(name string, do func(context.Context)) Step { return Step{name, do} }

// Absent is what a step panics with if the driver does not have what it is about.
type Absent string

// Run does the steps, with fresh connections after one that failed, and exits with status 1 where one failed.
//
// The first two steps of a program are to connect and to listen.
func Run(begin func() []Step) {
	failures, fresh := 0, true
	program := begin()
	for number, step := range program {
		outcome := any(nil)
		if !fresh {
			program = begin()
			outcome = attemptAll(program[:min(number, 2)])
		}
		if outcome == nil {
			outcome = attempt(program[number])
		}
		fresh = say(step.name, outcome)
		if !fresh {
			failures++
		}
	}
	os.Exit(min(failures, 1))
}

// Check fails if there is an error.
func Check(err error) {
	if err != nil {
		panic(err)
	}
}

// Must returns a value, unless there is an error.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Same fails unless the two are equal.
func Same[T any](actual, expected T) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Errorf("%.200v instead of %.200v", actual, expected))
	}
}

// Fails returns an error as its type, and fails if there is none.
func Fails[T error](err error) T {
	var expected T
	if !errors.As(err, &expected) {
		panic(fmt.Errorf("%T (%v) instead of %T", err, err, expected))
	}
	return expected
}

func say(name string, outcome any) bool {
	switch reason := outcome.(type) {
	case nil:
		fmt.Println("ok", name)
	case Absent:
		fmt.Printf("absent %s: %s\n", name, reason)
	default:
		fmt.Printf("FAILED %s: %s\n", name, strings.Join(strings.Fields(fmt.Sprint(reason)), " "))
		return false
	}
	return true
}

func attemptAll(steps []Step) any {
	for _, step := range steps {
		if outcome := attempt(step); outcome != nil {
			return outcome
		}
	}
	return nil
}

func attempt(step Step) any {
	context, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		step.do(context)
	}()
	select {
	case outcome := <-done:
		return outcome
	case <-time.After(Deadline + time.Second):
		return fmt.Errorf("no end after %v", Deadline)
	}
}
