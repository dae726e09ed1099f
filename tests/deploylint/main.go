// Command deploylint checks deployment files against the definitions of those who read them: Kubernetes manifests
// strictly against the API's own types, a compose file by the reference implementation's loader, a container file by
// BuildKit's parser.
//
//	deploylint FILE...
//
// The kind of a file goes by its name: compose.yaml, Containerfile, anything else is a manifest.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	failed := 0
	for _, path := range os.Args[1:] {
		if err := lint(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed++
		} else {
			fmt.Println(path, "ok")
		}
	}
	if failed > 0 || len(os.Args) == 1 {
		os.Exit(1)
	}
}

func lint(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	switch filepath.Base(path) {
	case "compose.yaml":
		return compose(path, text)
	case "Containerfile":
		return container(text)
	default:
		return manifests(text)
	}
}

func compose(path string, text []byte) error {
	folder := filepath.Dir(path)
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  folder,
		ConfigFiles: []types.ConfigFile{{Filename: path, Content: text}},
	})
	if err != nil {
		return err
	}
	for _, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				return fmt.Errorf("service %s publishes %s to more than this machine", service.Name, port.Published)
			}
		}
		for _, volume := range service.Volumes {
			if volume.Type != "bind" {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				return fmt.Errorf("service %s mounts what is not there: %w", service.Name, err)
			}
		}
	}
	return nil
}

func container(text []byte) error {
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return err
	}
	user := ""
	for _, command := range stages[len(stages)-1].Commands {
		if set, ok := command.(*instructions.UserCommand); ok {
			user = set.User
		}
	}
	if user == "" || user == "0" || user == "root" || strings.HasPrefix(user, "0:") {
		return fmt.Errorf("the image runs as %q", user)
	}
	return nil
}

func manifests(text []byte) error {
	count := 0
	for number, document := range strings.Split(string(text), "\n---\n") {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			return fmt.Errorf("document %d: %w", number+1, err)
		}
		if err := manifest([]byte(document), kind.APIVersion+" "+kind.Kind); err != nil {
			return fmt.Errorf("document %d (%s): %w", number+1, kind.Kind, err)
		}
		count++
	}
	if count == 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func manifest(document []byte, kind string) error {
	switch kind {
	case "v1 ConfigMap":
		return yaml.UnmarshalStrict(document, &core.ConfigMap{})
	case "v1 Service":
		return yaml.UnmarshalStrict(document, &core.Service{})
	case "apps/v1 Deployment":
		var value apps.Deployment
		if err := yaml.UnmarshalStrict(document, &value); err != nil {
			return err
		}
		return workload(value.Spec.Selector.MatchLabels, value.Spec.Template)
	case "apps/v1 StatefulSet":
		var value apps.StatefulSet
		if err := yaml.UnmarshalStrict(document, &value); err != nil {
			return err
		}
		claims := []string{}
		for _, claim := range value.Spec.VolumeClaimTemplates {
			claims = append(claims, claim.Name)
		}
		return workload(value.Spec.Selector.MatchLabels, value.Spec.Template, claims...)
	default:
		return fmt.Errorf("deploylint does not know %s yet: add it", kind)
	}
}

// workload checks what the types alone do not: that names refer to something.
func workload(selector map[string]string, template core.PodTemplateSpec, claims ...string) error {
	for key, value := range selector {
		if template.Labels[key] != value {
			return fmt.Errorf("the selector's %s=%s is not among the template's labels", key, value)
		}
	}
	volumes := map[string]bool{}
	for _, name := range claims {
		volumes[name] = true
	}
	for _, volume := range template.Spec.Volumes {
		volumes[volume.Name] = true
	}
	containers := append(template.Spec.InitContainers, template.Spec.Containers...)
	for _, container := range containers {
		for _, mount := range container.VolumeMounts {
			if !volumes[mount.Name] {
				return fmt.Errorf("container %s mounts the unknown volume %s", container.Name, mount.Name)
			}
		}
		ports := map[string]bool{}
		for _, port := range container.Ports {
			ports[port.Name] = true
		}
		for _, probe := range []*core.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
			if probe == nil {
				continue
			}
			if probe.HTTPGet == nil {
				return errors.New("a probe without httpGet")
			}
			if !ports[probe.HTTPGet.Port.StrVal] {
				return fmt.Errorf("container %s has no port named %s", container.Name, probe.HTTPGet.Port.StrVal)
			}
		}
	}
	return nil
}
