//! Groups with members: who is there, by which protocol, with which partitions.

use anyhow::{Result, ensure};
use collector::cluster::snapshot::{GroupType, Unknown};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{GroupId, JoinGroupRequest, SyncGroupRequest};
use lab::wire::text;
use lab::{Joining, Member, Wire};

use super::{Age, RIGHT, Right, Scene, TIMEOUT, group, now_ms};

const HOUR_MS: i64 = 3_600_000;

/// Ten records an hour old in each partition.
pub(super) async fn scene(name: &str, partitions: i32) -> Result<(Scene, Right)> {
    let mut scene = Scene::new(name, partitions).await?;
    let at = now_ms()? - HOUR_MS;
    for partition in 0..partitions {
        scene.append(partition, 10, at).await?;
    }
    Ok((scene, Right { log: (0, 10, 10), age: Age::Since(at, 0.0), ..RIGHT }))
}

/// A member with two partitions that has committed in one of them.
async fn half_committed(name: &str, protocol: &str, kind: GroupType) -> Result<()> {
    let (scene, right) = scene(name, 2).await?;
    let (topics, commits) = ([scene.topic.as_str()], [(scene.topic.as_str(), 0, 7)]);
    let joining = Joining::classic(&scene.group, &topics, 2).protocol(protocol).commits(&commits);
    let _member = Member::join(&scene.brokers, joining).await?;
    let snapshot = scene.look().await?;
    scene.who(&snapshot, kind, "Stable", 1)?;
    ensure!(!group(&snapshot, &scene.group)?.protocol.is_empty(), "an assignor");
    let committed = Right { committed: Some(7), lag: Some((3, 3)), assigned: true, ..right };
    scene.right(&snapshot, 0, committed)?;
    let unknown = Some(Unknown::Uncommitted);
    scene.right(&snapshot, 1, Right { unknown, age: Age::Unknown, assigned: true, ..right })
}

/// Not 0, not −1, and not the whole log: where it will start is its own affair.
#[tokio::test]
async fn assigned_and_never_committed() -> Result<()> {
    half_committed("joined", "classic", GroupType::Classic).await
}

#[tokio::test]
async fn a_group_of_the_consumer_protocol() -> Result<()> {
    half_committed("joined-new", "consumer", GroupType::Consumer).await
}

#[tokio::test]
async fn two_members() -> Result<()> {
    for protocol in ["classic", "consumer"] {
        let (scene, right) = scene("pair", 2).await?;
        let topics = [scene.topic.as_str()];
        let joining = Joining::classic(&scene.group, &topics, 2).protocol(protocol);
        let _first = Member::join(&scene.brokers, joining.clone()).await?;
        let _second = Member::join(&scene.brokers, Joining { partitions: 1, ..joining }).await?;
        let kind = if protocol == "classic" { GroupType::Classic } else { GroupType::Consumer };
        lab::eventually("both have a partition", TIMEOUT, async || {
            let snapshot = scene.look().await?;
            let state = &group(&snapshot, &scene.group)?.state;
            ensure!(state == "Stable", "{state}");
            scene.who(&snapshot, kind, "Stable", 2)?;
            let unknown = Some(Unknown::Uncommitted);
            let right = Right { unknown, age: Age::Unknown, assigned: true, ..right };
            scene.right(&snapshot, 0, right)?;
            scene.right(&snapshot, 1, right)
        })
        .await?;
    }
    Ok(())
}

/// The commits stay while the group changes its protocol; what was known of its members does not.
#[tokio::test]
async fn a_group_that_moves_to_the_consumer_protocol() -> Result<()> {
    let (scene, right) = scene("moving", 1).await?;
    let (topics, commits) = ([scene.topic.as_str()], [(scene.topic.as_str(), 0, 7)]);
    let joining = Joining::classic(&scene.group, &topics, 1);
    let mut watcher = scene.watcher()?;
    let classic = Member::join(&scene.brokers, joining.clone().commits(&commits)).await?;
    let right = Right { committed: Some(7), lag: Some((3, 3)), assigned: true, ..right };
    let snapshot = watcher.refresh_once().await?;
    scene.who(&snapshot, GroupType::Classic, "Stable", 1)?;
    scene.right(&snapshot, 0, right)?;
    drop(classic);
    let _consumer = Member::join(&scene.brokers, joining.protocol("consumer")).await?;
    let snapshot = watcher.refresh_once().await?;
    scene.who(&snapshot, GroupType::Consumer, "Stable", 1)?;
    scene.right(&snapshot, 0, right)
}

/// A static member that is away for a moment is a member, and its partitions are assigned.
#[tokio::test]
async fn a_static_member() -> Result<()> {
    let (scene, right) = scene("static", 1).await?;
    let (topics, commits) = ([scene.topic.as_str()], [(scene.topic.as_str(), 0, 7)]);
    let joining = Joining::classic(&scene.group, &topics, 1).commits(&commits).instance("one");
    let member = Member::join(&scene.brokers, joining).await?;
    let right = Right { committed: Some(7), lag: Some((3, 3)), assigned: true, ..right };
    let snapshot = scene.look().await?;
    scene.who(&snapshot, GroupType::Classic, "Stable", 1)?;
    scene.right(&snapshot, 0, right)?;
    // It doesn't say good-bye (KIP-345).
    drop(member);
    let snapshot = scene.look().await?;
    scene.who(&snapshot, GroupType::Classic, "Stable", 1)?;
    scene.right(&snapshot, 0, right)
}

/// Members that read only some of the topics that the group has commits for: the others lag on.
#[tokio::test]
async fn commits_where_no_member_is_assigned() -> Result<()> {
    let (mut scene, right) = scene("partly", 1).await?;
    let (group_name, topic) = (scene.group.clone(), scene.topic.clone());
    let other = scene.another_topic("other", 1).await?;
    scene.wire.append(&other, 0, &[lab::Entry::at(now_ms()? - HOUR_MS)]).await?;
    scene.wire.commit(&group_name, &topic, &[(0, 2)]).await?;
    let (topics, commits) = ([other.as_str()], [(other.as_str(), 0, 1)]);
    let joining = Joining::classic(&group_name, &topics, 1).commits(&commits);
    let _member = Member::join(&scene.brokers, joining).await?;
    let snapshot = scene.look().await?;
    scene.who(&snapshot, GroupType::Classic, "Stable", 1)?;
    scene.right(&snapshot, 0, Right { committed: Some(2), lag: Some((8, 8)), ..right })?;
    let read = Right {
        committed: Some(1),
        log: (0, 1, 1),
        lag: Some((0, 0)),
        age: Age::CaughtUp,
        assigned: true,
        ..RIGHT
    };
    read.of(&snapshot, &group_name, &other, 0)
}

/// A topic that comes into being, matches, and is assigned.
#[tokio::test]
async fn a_subscription_by_pattern() -> Result<()> {
    let (scene, right) = scene("pattern", 1).await?;
    let pattern = format!("^{}.*", scene.topic.replace('.', "\\."));
    let (topics, commits) = ([pattern.as_str()], [(scene.topic.as_str(), 0, 7)]);
    let joining = Joining::classic(&scene.group, &topics, 1).commits(&commits);
    let _member = Member::join(&scene.brokers, joining).await?;
    let mut watcher = scene.watcher()?;
    let committed = Right { committed: Some(7), lag: Some((3, 3)), assigned: true, ..right };
    scene.right(&watcher.refresh_once().await?, 0, committed)?;
    let later = scene.another_topic("later", 1).await?;
    lab::eventually("the new topic is assigned", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        ensure!(group(&snapshot, &scene.group)?.topics.contains_key(later.as_str()), "not yet");
        let unknown = Some(Unknown::Uncommitted);
        Right { unknown, assigned: true, ..RIGHT }.of(&snapshot, &scene.group, &later, 0)?;
        scene.right(&snapshot, 0, committed)
    })
    .await
}

/// Joins by the classic protocol's own requests; gives the generation and the member's id.
async fn join(wire: &mut Wire, group: &str, protocol_type: &str) -> Result<(i32, String)> {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("sessioned"));
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text(protocol_type))
        .with_protocols(vec![protocol]);
    let answer = lab::eventually("it joins", TIMEOUT, async || {
        let answer = wire.call(&request, 3).await?;
        ensure!(answer.error_code == 0, "join: code {}", answer.error_code);
        Ok(answer)
    })
    .await?;
    Ok((answer.generation_id, answer.member_id.to_string()))
}

/// Kafka Connect's workers form a group too, whose assignments hold connectors and tasks, not partitions.
#[tokio::test]
async fn a_group_of_another_kind_of_member() -> Result<()> {
    let (mut scene, _) = scene("connect", 1).await?;
    let group_name = scene.group.clone();
    let mut wire = Wire::connect(&scene.brokers).await?;
    let (generation, member) = join(&mut wire, &group_name, "connect").await?;
    // Version 1, no error, and then a leader's id that looks like no topic at all.
    let assignment = b"\0\x01\0\0\0\x3bconnect-1-a\0\x1bhttp://127.0.0.1:8083/\x7f\xff\xff\xff".as_slice();
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(text(&member))
        .with_assignment(assignment.into());
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId(text(&group_name)))
        .with_generation_id(generation)
        .with_member_id(text(&member))
        .with_assignments(vec![assignment]);
    let answer = wire.call(&request, 2).await?;
    ensure!(answer.error_code == 0, "sync: code {}", answer.error_code);
    let snapshot = scene.look().await?;
    scene.who(&snapshot, GroupType::Classic, "Stable", 1)?;
    let seen = group(&snapshot, &group_name)?;
    assert_eq!((seen.protocol.as_str(), seen.topics.len()), ("sessioned", 0));
    // The connectors' own groups are ordinary ones.
    let sink = format!("{group_name}-sink");
    scene.wire.commit(&sink, &scene.topic, &[(0, 10)]).await?;
    let caught_up =
        Right { committed: Some(10), log: (0, 10, 10), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    caught_up.of(&scene.look().await?, &sink, &scene.topic, 0)
}

/// In the middle of a rebalance nobody has partitions, and the commits stand.
#[tokio::test]
async fn a_group_that_rebalances() -> Result<()> {
    let (mut scene, right) = scene("turning", 1).await?;
    let group_name = scene.group.clone();
    scene.commit(&[(0, 7)]).await?;
    let mut wire = Wire::connect(&scene.brokers).await?;
    // It has joined, and the leader that it is assigns nothing.
    join(&mut wire, &group_name, "consumer").await?;
    let snapshot = scene.look().await?;
    scene.who(&snapshot, GroupType::Classic, "CompletingRebalance", 1)?;
    scene.right(&snapshot, 0, Right { committed: Some(7), lag: Some((3, 3)), ..right })
}
