// SPDX-License-Identifier: BSL-1.0

// What AWS's Go client serves: the event says what is to happen.
package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type ask struct {
	Do   string `json:"do"`
	Text string `json:"text"`
}

// Says something, and then fails.
type broken struct{ left io.Reader }

func (b *broken) Read(into []byte) (int, error) {
	n, err := b.left.Read(into)
	if err == io.EOF {
		return n, errors.New("the reader broke")
	}
	return n, err
}

func handle(ctx context.Context, what ask) (any, error) {
	about, _ := lambdacontext.FromContext(ctx)
	switch what.Do {
	case "echo":
		return what.Text, nil
	case "who":
		return about.AwsRequestID + " " + about.TenantID, nil
	case "time":
		due, _ := ctx.Deadline()
		return time.Until(due) > 2*time.Second && time.Until(due) < 4*time.Second, nil
	case "error":
		return nil, errors.New(what.Text)
	case "panic":
		panic(what.Text)
	case "stream":
		return io.MultiReader(strings.NewReader("one "), strings.NewReader("two")), nil
	case "broken":
		return &broken{strings.NewReader(what.Text)}, nil
	}
	return nil, errors.New("nobody knows how to " + what.Do)
}

func main() { lambda.Start(handle) }
