// Package arch holds no code, only the tests that keep the tree's shape: who may import whom, that every
// package says what it is for, and that test data holds no secrets. The table in arch_test.go is the rule;
// a package that isn't in it fails.
package arch
