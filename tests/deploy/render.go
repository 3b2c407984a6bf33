// Renders a chart as Helm does, for machines that have no Helm: with the same template language and
// library of functions (text/template of Go, sprig), and Helm's own functions beside them.
//
//	render CHART RELEASE NAMESPACE < values.json > {"file": "text"}
//
// The values are whole: those of values.yaml with the user's over them. A function that Helm has
// and this lacks ends it with an error; so does a key that values lack, which Helm lets pass.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func functions(all *template.Template) template.FuncMap {
	known := sprig.TxtFuncMap()
	delete(known, "env") // as Helm does: a chart sees nothing of the machine
	delete(known, "expandenv")
	known["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	known["fromYaml"] = func(text string) (map[string]interface{}, error) {
		found := map[string]interface{}{}
		return found, yaml.Unmarshal([]byte(text), &found)
	}
	known["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	known["required"] = func(warning string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(warning)
		}
		return value, nil
	}
	return known
}

func main() {
	chart, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	var values, facts map[string]interface{}
	fail(json.NewDecoder(os.Stdin).Decode(&values))
	text, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	fail(err)
	fail(yaml.Unmarshal(text, &facts))
	about := map[string]interface{}{}
	for name, value := range facts { // .Chart.AppVersion of appVersion
		about[strings.ToUpper(name[:1])+name[1:]] = value
	}
	all := template.New("chart").Option("missingkey=error")
	all.Funcs(functions(all))
	var names []string
	fail(filepath.Walk(filepath.Join(chart, "templates"), func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(chart, path)
		names = append(names, name)
		_, err = all.New(name).Parse(string(text))
		return err
	}))
	rendered := map[string]string{}
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		var out bytes.Buffer
		fail(all.ExecuteTemplate(&out, name, map[string]interface{}{
			"Values":       values,
			"Chart":        about,
			"Release":      map[string]interface{}{"Name": release, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false, "Revision": 1},
			"Template":     map[string]interface{}{"Name": name, "BasePath": "templates"},
			"Capabilities": map[string]interface{}{},
		}))
		rendered[name] = out.String()
	}
	fail(json.NewEncoder(os.Stdout).Encode(rendered))
}
