// Written by generate_types.py from service/schemas.py. Do not edit.

export interface Alert {
  readonly id: string;
  readonly kind: "enter" | "approach" | "claim_conflict" | "recording";
  readonly severity: "warning" | "critical";
  readonly track: string | null;
  readonly zone: string | null;
  readonly started: string;
  readonly time: string;
  readonly active: boolean;
  readonly probability: number;
  readonly time_to_entry: number | null;
  readonly text: string;
  readonly acknowledged: boolean;
  readonly acknowledged_at: string | null;
  readonly acknowledged_by: string | null;
  readonly note: string | null;
}

export interface BaseMap {
  readonly plan: MapPlan | null;
  readonly shapes: number;
  readonly tiles: MapTiles | null;
}

export interface Detection {
  readonly sensor: string;
  readonly time: string;
  readonly sequence: number;
  readonly class: "drone" | "bird" | "airplane" | "helicopter";
  readonly score: number;
  readonly box: readonly [number, number, number, number];
  readonly scores: Readonly<Partial<Record<"drone" | "bird" | "airplane" | "helicopter", number>>>;
}

export interface Disk {
  readonly free: number;
  readonly total: number;
}

export interface DraftFault {
  readonly line: number;
  readonly where: string;
  readonly what: string;
}

export interface DraftVerdict {
  readonly text: string;
  readonly faults: readonly DraftFault[];
}

export interface FlightModel {
  readonly id: string;
  readonly state: "recording" | "whole" | "cut" | "unreadable";
  readonly reason: string;
  readonly bytes: number;
  readonly start: string | null;
  readonly end: string | null;
  readonly session: string | null;
  readonly part: number | null;
  readonly version: string | null;
  readonly sensors: readonly string[];
  readonly download: string;
}

export interface Forecast {
  readonly forecasts: readonly TrackForecast[];
}

export interface ForecastEntry {
  readonly zone: string;
  readonly after: number;
  readonly sigma: number;
}

export interface ForecastStep {
  readonly after: number;
  readonly enu: readonly [number, number, number];
  readonly covariance: readonly [number, number, number];
}

export interface Lens {
  readonly width: number;
  readonly height: number;
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  readonly distortion: readonly [number, number, number, number, number];
  readonly enu_to_camera: readonly [number, number, number, number, number, number, number, number, number];
}

export interface MapPlan {
  readonly upper_left: readonly [number, number];
  readonly upper_right: readonly [number, number];
  readonly lower_left: readonly [number, number];
}

export interface MapTiles {
  readonly min_zoom: number;
  readonly max_zoom: number;
  readonly attribution: string;
}

export interface Origin {
  readonly latitude: number;
  readonly longitude: number;
  readonly altitude: number;
}

export interface PlacedSensor {
  readonly id: string;
  readonly kind: string;
  readonly enu: readonly [number, number, number];
  readonly azimuth: number | null;
  readonly elevation: number | null;
  readonly roll: number | null;
  readonly horizontal_fov: number | null;
  readonly vertical_fov: number | null;
  readonly range: number | null;
  readonly lens: Lens | null;
}

export interface Plan {
  readonly name: string;
  readonly origin: Origin | null;
  readonly sensors: readonly PlacedSensor[];
}

export interface ReplayModel {
  readonly id: string;
  readonly flight: string;
  readonly from: Stage;
  readonly state: "playing" | "paused" | "ended" | "failed";
  readonly reason: string;
  readonly speed: number | null;
  readonly time: string | null;
  readonly start: string | null;
  readonly end: string | null;
}

export interface Sensor {
  readonly id: string;
  readonly kind: string;
  readonly spectrum: "visible" | "infrared" | null;
  readonly source: string;
  readonly state: SensorState;
  readonly reason: string;
  readonly fps: number;
  readonly frames_in: number;
  readonly processed: number;
  readonly dropped: Readonly<Partial<Record<string, number>>>;
  readonly reconnects: number;
  readonly time_source: "rtcp" | "pts" | "arrival" | "simulated";
  readonly last_frame: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly snapshot: string | null;
  readonly stream: string | null;
  readonly sound: Sound | null;
}

export type SensorState = "starting" | "online" | "stale" | "frozen" | "down" | "failed" | "ended";

export interface Sound {
  readonly time: string;
  readonly state: "listening" | "masked by wind";
  readonly sample_rate_hz: number;
  readonly level_db: number;
  readonly noise_floor_db: number;
  readonly excess_db: number;
  readonly bands: readonly SoundBand[];
  readonly scores: Readonly<Partial<Record<string, number>>> | null;
  readonly directions: readonly SoundDirection[];
  readonly fixed_emitters: readonly SoundPlace[];
  readonly faults: readonly string[];
  readonly clock: SoundClock;
  readonly spectrogram: string;
}

export interface SoundBand {
  readonly frequency: number;
  readonly level: number;
  readonly floor: number;
}

export interface SoundClock {
  readonly drift_ppm: number | null;
  readonly gaps: number;
  readonly lost_s: number;
  readonly measured_rate_hz: number | null;
}

export interface SoundDirection {
  readonly azimuth: number;
  readonly elevation: number;
  readonly sigma_azimuth: number;
  readonly sigma_elevation: number;
  readonly score: number;
  readonly fixed: boolean;
}

export interface SoundPlace {
  readonly azimuth: number;
  readonly elevation: number;
}

export type Stage = "raw" | "detections" | "measurements" | "tracks";

export type Status = "tentative" | "confirmed" | "coasting" | "deleted";

export interface System {
  readonly version: string;
  readonly python: string;
  readonly started: string;
  readonly store: Disk;
  readonly recording: Disk | null;
}

export interface Track {
  readonly time: string;
  readonly state: Status;
  readonly class: "drone" | "bird" | "airplane" | "helicopter";
  readonly probabilities: Readonly<Partial<Record<"drone" | "bird" | "airplane" | "helicopter", number>>>;
  readonly score: number;
  readonly existence: number;
  readonly space: "image" | "world";
  readonly box: readonly [number, number, number, number] | null;
  readonly velocity: readonly number[];
  readonly covariance: readonly number[];
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly altitude: number | null;
  readonly enu: readonly number[] | null;
  readonly id: string;
  readonly sensor: string | null;
  readonly sensors: readonly string[];
  readonly image_tracks: readonly string[];
  readonly first_seen: string;
  readonly claimed_id: string | null;
  readonly identity: "cooperative" | "unknown" | "conflicting";
  readonly identity_score: number;
  readonly evidence: readonly string[];
  readonly claim_only: boolean;
}

export interface TrackForecast {
  readonly track: string;
  readonly time: string;
  readonly steps: readonly ForecastStep[];
  readonly entries: readonly ForecastEntry[];
}

export interface Zone {
  readonly name: string;
  readonly kind: "alert" | "exclusion";
  readonly polygon: readonly (readonly [number, number])[];
  readonly floor: number | null;
  readonly ceiling: number | null;
  readonly id: string;
}
