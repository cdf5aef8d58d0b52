// Command hits passes a failpoint three times and says so.
package main

import (
	"fmt"

	"github.com/zmsg/zmsg/internal/failpoint"
)

func main() {
	for i := range 3 {
		if err := failpoint.Hit("line"); err != nil {
			fmt.Println(err)
		}
		fmt.Print(i + 1)
	}
}
